"""The sweep says where the harness and the oracle differ, keeps every row, and sweeps nothing twice."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bench import sweep
from bench.sweep import Row
from harness.model.history import FaultRecord, History, Sample

KEY = "ready/t/Deployment/swept"


def history(back: float, **eviction: Any) -> History:
    """Make a run of a pod that was hit at second 10 and whose workload was whole again at second `back`."""
    told = [(0.0, 2.0), (10.1, 1.0), (back, 2.0)]
    samples = [Sample(time, KEY, value, {"desired": "2"}) for time, value in told]
    fault = FaultRecord("f", "pod_kill", "t/swept-1", 10.0, 10.1, back, {}, 10.0, 10.0)
    evictions = [{"time": 10.0, "pod": "t/swept-1", "message": "", **eviction}] if eviction else []
    return History(0.0, 60.0, (10.0, back), faults=[fault], samples=samples, evictions=evictions)


def compared(seen: History, expected: int = 0, **row: Any) -> list[str]:
    found = Row("Deployment", "min 1", "pod_kill", **{"healed": 4.0, "oracle": 4.2, **row})
    sweep._compare(found, seen, expected, refused=False)
    return found.differences


def test_what_agrees_has_no_difference() -> None:
    assert compared(history(14.1)) == []


@pytest.mark.parametrize(
    ("back", "row", "said"),
    [
        (14.1, {"healed": 0.7}, "healed after 0.7 s, by the oracle after 4.2 s"),
        (14.1, {"oracle": None}, "the oracle did not see it back"),
        (11.0, {}, "recovery took 1.0 s, by the oracle 4.2 s"),
    ],
)
def test_a_time_that_differs_is_told(back: float, row: dict[str, Any], said: str) -> None:
    assert said in compared(history(back), **row)


def test_an_answer_that_a_dry_run_does_not_give_is_told() -> None:
    granted = history(14.1, status=201, budget="swept-0", allowed=0, healthy=2, desired=2)
    assert compared(granted, 429, answer="201") == [
        "the eviction was answered 201, a dry run 429",
        "the budget is broken: 1 evictions were granted where the budget allowed 0",
    ]


def test_every_row_is_kept_and_no_cell_is_swept_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    async def swept(cells: list[tuple[str, str]], together: int, keep: Any) -> None:
        asked.extend(cells)
        for cell in cells:
            keep([Row(*cell, "pod_kill", healed=2.0)])

    monkeypatch.setattr(sweep, "_sweep", swept)
    monkeypatch.setattr(sweep, "PAGE", tmp_path / "sweep.md")
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([dataclasses.asdict(Row("Job", "none", "pod_kill", differences=["late"]))]))
    words = ["--rows", str(rows), "--kinds", "Job", "Pod", "--shapes", "none", "two"]
    assert sweep.main(words) == 1
    assert asked == [("Job", "two"), ("Pod", "none"), ("Pod", "two")]
    assert len(json.loads(rows.read_text())) == 4
    page = (tmp_path / "sweep.md").read_text()
    assert "4 combinations, 1 differ from the oracle" in page
    assert "| Job | none | **?** |" in page
    assert "- Job, none, pod_kill: late" in page
