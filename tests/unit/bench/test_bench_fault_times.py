"""Fault times: figures come from the journal, medians are held against the goals, and what failed is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import fault_times
from bench.fault_times import Times
from harness.faults import FAULTS

AT = {
    "fault.injecting": 1.0,
    "fault.injected": 1.25,
    "fault.felt": 2.25,
    "abort": 3.0,
    "fault.heal_requested": 3.0,
    "undo": 3.125,
    "fault.healed": 9.0,
}
EVENTS = [{"type": kind, "t": at, "wall": 1000 + at, "data": {}} for kind, at in AT.items()]


def times(kind: str = "node_cordon", **seconds: list[float]) -> Times:
    found = Times(FAULTS[kind])
    found.seconds |= seconds
    return found


def test_the_figures_of_a_run_are_in_its_journal() -> None:
    found = fault_times.figures(EVENTS, asked=1002.5, instant=False)
    assert found == {"applied": 0.25, "felt": 1.0, "removed": 0.125, "abort": 0.5}


def test_what_is_over_at_once_is_not_removed_and_what_did_not_come_is_no_figure() -> None:
    assert "removed" not in fault_times.figures(EVENTS, asked=1002.5, instant=True)
    assert fault_times.figures(EVENTS[:2], asked=1002.5, instant=False) == {"applied": 0.25}


@pytest.mark.parametrize(
    ("kind", "figure", "goal"),
    [
        ("node_cordon", "applied", 0.5),
        ("node_cordon", "removed", 0.5),
        ("node_cordon", "felt", None),
        ("node_drain", "applied", None),
        ("node_drain", "removed", 0.5),
        ("node_freeze", "removed", None),
    ],
)
def test_api_and_node_hands_have_goals_and_what_asks_budgets_waits_for_them(
    kind: str, figure: str, goal: float | None
) -> None:
    assert fault_times.goal(FAULTS[kind], figure) == goal


def test_a_median_that_misses_its_goal_is_named_and_bold() -> None:
    late = times(applied=[0.1, 0.2, 9.0], removed=[0.4, 0.6, 0.7], abort=[0.1])
    assert fault_times.missed(late) == ["removed"]
    assert fault_times.row(late) == [
        "node_cordon",
        "api",
        "0.20 (0.10-9.00)",
        "",
        "**0.60 (0.40-0.70)**",
        "0.10 (0.10-0.10)",
    ]


def test_the_last_of_a_hundred_is_what_all_but_one_keep() -> None:
    assert fault_times.last([float(number) for number in range(1, 201)]) == 198
    assert fault_times.last([3.0]) == 3.0


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(fault_times, "PAGE", tmp_path / "bench-faults.md")
    monkeypatch.setattr(fault_times.speed, "loop", lambda: 61.0)
    return tmp_path / "bench-faults.md"


def answer(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    async def stand_in(found: Times, repetitions: int) -> None:
        for _ in range(repetitions):
            found.take(seconds)

    monkeypatch.setattr(fault_times, "_fault", stand_in)


def test_every_fault_is_timed_and_the_table_kept(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, applied=0.2, abort=0.1)
    assert fault_times.main(["--times", "3"]) == 0
    text = page.read_text()
    assert all(f"| {name} |" in text for name in FAULTS)
    assert "within 0.5 s: kept." in text
    assert f"Abort: p99 0.10 s, median 0.10 s, of {3 * len(FAULTS)}." in text


def test_a_missed_goal_and_a_run_that_failed_are_told(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, applied=0.7)
    assert fault_times.main(["--only", "node_cordon"]) == 1
    assert "missed by node_cordon applied" in page.read_text()

    async def failed(found: Times, repetitions: int) -> None:
        found.take({"felt": 0.1})
        found.amiss += ["no answer"] * 2

    monkeypatch.setattr(fault_times, "_fault", failed)
    assert fault_times.main(["--only", "pod_kill"]) == 1
    assert page.read_text().count("- pod_kill, not measured: no answer") == 1


def test_a_fault_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words: list[Any] = ["--only", "pod_frieze"]
    assert fault_times.main(words) == 4
    assert "there is no fault pod_frieze" in capsys.readouterr().err
