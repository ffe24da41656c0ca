"""Each view of one game day, against files a person has looked at; UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.gameday import announcing, log, plan, progress, results, text
from harness.gameday.plan import GameDay
from tests.snapshot.conftest import HOSTILE
from tests.snapshot.test_snapshot_report import compare
from tests.unit.gameday.conftest import EXPERIMENT, planned

# YAML has no control characters.
SHOWN = HOSTILE.replace("\x1b", "")
WINDOW = {"from": "2026-12-03 10:00", "to": "2026-12-03 11:30", "timezone": "Europe/Berlin"}
NOW = datetime(2026, 12, 3, 9, 45, tzinfo=UTC)


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GameDay:
    """A step as expected, one that deviated and was aborted the first time, one that was skipped."""
    monkeypatch.chdir(tmp_path)
    for place in ("stack", "shop", "day"):
        Path(place).mkdir()
    Path("stack/slo.yaml").write_text("latency: {p99: 1s}\n")
    for what in ("cart", "web", "db"):
        Path("shop", f"{what}.yaml").write_text(EXPERIMENT.format(what=what))
    found = planned() | {"window": WINDOW, "goals": ["nobody notices", SHOWN]}
    found["experiments"].append({"file": "../shop/db.yaml", "expected": "a new leader within 5 s"})
    found["roles"]["observers"] = ["Tim"]
    Path("day/gameday.yaml").write_text(yaml.safe_dump(found, sort_keys=False))
    day = plan.read(Path("day"))
    with Path("day/log.jsonl").open("w", encoding="utf-8") as file:
        for minute, (type, who, data) in enumerate(_story(day)):
            at = f"2026-12-03T09:{minute:02}:07.250Z"
            file.write(json.dumps({"at": at, "type": type, "who": who, **data}) + "\n")
        file.write('{"at": "2026-12-03T09:5')
    return day


def _story(day: GameDay) -> list[tuple[str, str, dict[str, Any]]]:
    parts = [*day.parts.items()]
    steps = [{"step": step.number, "experiment": step.name} for step in day.steps]
    ran = {"expected": "PASS", "right": True, "why": "", "cause": "", "recovery": "1.4 s", "seconds": 12.3, "abort": {}}
    cut = {"trigger": "lever", "why": f"Tim: {HOSTILE}", "latency": 0.004}
    wrong = {"right": False, "why": "availability: 15 of 418 failed", "cause": "its breaker was open"}
    looked = "  x lever        the lever is on: Tim\n  v window       is open"
    return [
        ("approval", "Barbara", {"role": "approver", "hash": day.hash, "parts": parts}),
        ("approval", "Ken", {"role": "approver", "hash": "0" * 64, "parts": [["title", "1"], *parts[1:]]}),
        (progress.WORD, "Grace", {**steps[0], "word": "go", "why": "", "hash": day.hash}),
        (progress.BEGIN, "Linus", {**steps[0], "context": ""}),
        (progress.END, "Linus", {**steps[0], **ran, "run": "20261203-0904-aa01", "verdict": "PASS"}),
        (progress.NOTE, "Edith", {"text": f"p99 doubled {HOSTILE}"}),
        (progress.BEGIN, "Linus", {**steps[1], "context": ""}),
        (progress.ABORT, "Tim", {"why": HOSTILE}),
        (progress.STOPPED, "Tim", {"run": "20261203-0906-bb02", "after": 0.31}),
        (progress.END, "Linus", {**steps[1], **ran, "right": False, "run": "20261203-0906-bb02", "verdict": "ABORTED",
                                 "why": f"Tim: {HOSTILE}", "recovery": "", "abort": cut}),
        (progress.LOOK, "Linus", {**steps[1], "said": looked, "no_go": ["lever"]}),
        (progress.END, "Linus", {**steps[1], **ran, **wrong, "run": "20261203-0911-cc03", "verdict": "DEVIATED"}),
        (progress.WORD, "Grace", {**steps[2], "word": "skip", "why": "no time left"}),
        (progress.ACTION, "Edith", {**steps[1], "text": "a budget for webs", "owner": "Linus", "due": "2026-12-10"}),
        (progress.ACCEPTED, "Ada", {**steps[2], "text": "next month"}),
        (progress.CLOSED, "Ada", {"hash": day.hash, "undone": "nothing is broken", "differs": "scaled by hand",
                                  "changed": ["deployments/shop/cart: 2 -> 3"]}),
    ]  # fmt: skip


def test_the_results_are_those_that_were_looked_at(day: GameDay) -> None:
    for path in results.write(day, log.read(day.folder)):
        compare(path.read_text(), f"gameday{path.suffix}")


def test_what_a_terminal_and_a_calendar_are_told_is_what_was_looked_at(day: GameDay) -> None:
    entries = log.read(day.folder)
    states = progress.fold(day, entries)
    told = [
        text.status(day, entries, states, driven=False),
        text.status(day, entries[:2], progress.fold(day, entries[:2]), driven=False),
        text.hold_point(day, progress.fold(day, entries[:10])[1]),
        announcing.announcement(day),
    ]
    compare("\n\n".join(told) + "\n", "gameday.txt")
    compare(announcing.event(day, NOW).replace("\r\n", "\n"), "gameday.ics")


def test_what_others_wrote_is_inert_in_every_view(day: GameDay) -> None:
    results.write(day, log.read(day.folder))
    for name in (results.PAGE, results.SUMMARY):
        said = (day.folder / name).read_text()
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert "<script" not in said
