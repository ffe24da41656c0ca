"""Nights made up for tests: each is a list of experiments and the verdicts of their runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from harness.nightly.code import Code
from harness.nightly.nights import Night, fold
from harness.nightly.record import Record

START = 1_795_831_200.0  # 2026-11-28 02:00 UTC
DAY = 86_400.0
CODES = {"PASS": 0, "DEVIATED": 1, "INCONCLUSIVE": 2, "ABORTED": 3, "DIRTY": 6, "": 4}
OLD, NEW = Code("0.1.0", "aaaaaaaaaaaa", "1111"), Code("0.1.0", "bbbbbbbbbbbb", "1111")
# One letter for a verdict, in the order of a night's runs.
LETTERS = {"P": "PASS", "D": "DEVIATED", "I": "INCONCLUSIVE", "A": "ABORTED", "X": "DIRTY", "-": ""}


def run(night: int, experiment: str, attempt: int, verdict: str, **more: Any) -> Record:
    """Make the record of one run of the night that is so many days after the first."""
    start = START + night * DAY
    expected = more.pop("expected", "PASS")
    right = bool(verdict) and verdict == expected
    fields: dict[str, Any] = {
        "night": f"{datetime.fromtimestamp(start, UTC):%Y%m%d-%H%M%S}",
        "started": start + attempt * 300 + sum(map(ord, experiment)) % 250,
        "seconds": 12.0,
        "exit": 0 if right else CODES[verdict] or 1,
        "run": f"run-{night}-{attempt}-{experiment.rpartition('/')[2]}",
        "title": f"Something happens to {experiment.rpartition('/')[0]}",
        "reason": "" if right else f"availability: lost in night {night}",
        "seed": 4711,
        "within": 30.0,
        "recovery": 2.0,
        "faults": ("pod_kill",),
        "objectives": ("availability", "recovery"),
        "code": OLD,
        "document": "d0c",
        "context": "kind-chaos-local",
    }
    fields |= {"experiment": experiment, "attempt": attempt, "verdict": verdict, "expected": expected, "right": right}
    return Record(**fields | more)


def history(**verdicts: str) -> list[Record]:
    """Make a history: for each experiment a word a night, a letter a run, such as kill="P P DP"; "." is not run."""
    found = []
    for name, nights in verdicts.items():
        for number, word in enumerate(nights.split()):
            found += [
                run(number, f"cart/{name}", attempt, LETTERS[letter])
                for attempt, letter in enumerate(word, 1)
                if letter in LETTERS
            ]
    return sorted(found, key=lambda one: one.started)


def nights(**verdicts: str) -> list[Night]:
    """Make the nights of a history."""
    return fold(history(**verdicts))
