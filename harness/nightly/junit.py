"""Draw a night as one JUnit suite: a test case for each experiment, judged by its last run."""

from __future__ import annotations

from pathlib import Path

from harness.nightly import repeats
from harness.nightly.nights import Tried
from harness.nightly.sheet import Row, Sheet
from harness.nightly.state import State
from harness.report.junit import ERRORS
from harness.report.suite import ERROR, FAILURE, Case, write


def draw(sheet: Sheet, runs: Path) -> str:
    """Return the suite; a flip is a success that carries its first verdict, unless it comes too often."""
    cases = [_case(row, row.tried, runs) for row in sheet.rows if row.tried]
    return write("chaos nightly", cases, seconds=sheet.night.seconds, started=sheet.night.started)


def _case(row: Row, tried: Tried, runs: Path) -> Case:
    last, outcome, said = tried.last, _outcome(row, tried), "\n".join(row.said)
    values = {
        "verdict": last.verdict or repeats.NONE,
        "run": last.run,
        "report": str(runs / last.run / "index.html") if last.run else "",
        "state": str(row.state),
        "first_verdict": tried.first.verdict or repeats.NONE,
        "flip_rate": f"{row.flipped} of {row.nights} nights, {repeats.between(row.interval)}",
    }
    flipped = f"FLIP: {row.shown}\n{said}" if row.state is State.FLIP else ""
    return Case(
        row.experiment,
        sum(run.seconds for run in tried.runs),
        values,
        outcome,
        type=str(row.state),
        message=f"{str(row.state).upper()}: {row.shown}",
        output=said if outcome else flipped,
    )


def _outcome(row: Row, tried: Tried) -> str:
    if tried.last.right:
        return FAILURE if row.too_often else ""
    return ERROR if not tried.last.verdict or tried.last.verdict in ERRORS else FAILURE
