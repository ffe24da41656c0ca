"""Draw one JUnit test suite of any number of runs, a test case each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.journal import reader
from harness.model.verdict import State, Verdict
from harness.report import terminal, words
from harness.report.suite import ERROR, FAILURE, Case, write
from harness.report.values import View
from harness.report.view import build

# These say nothing about the system under test: the run did not come to its own end.
ERRORS = frozenset({Verdict.ABORTED, Verdict.DIRTY})


def suite(dirs: Iterable[Path]) -> str:
    """Return the suite of the runs in these folders, from their journals."""
    return draw([(build(reader.read(dir)), dir) for dir in dirs])


def draw(runs: Sequence[tuple[View, Path]]) -> str:
    """Return the suite of these runs; a declared weakness that shows is a success, one that does not is a failure."""
    seconds = sum(view.duration for view, _ in runs)
    started = min((view.started for view, _ in runs), default=0.0)
    return write("chaos", [_case(view, dir) for view, dir in runs], seconds=seconds, started=started)


def _case(view: View, dir: Path) -> Case:
    values = {"verdict": words.verdict(view), "run": view.run, "report": str(dir / "index.html")}
    # A test case that passed shows no table: what is beside the promises would be lost.
    values |= {item.checker: item.summary for item in view.findings if item.state is State.NOTED}
    outcome = _outcome(view)
    told = " ".join(part for part in (words.verdict(view), words.declared(view)) if part)
    return Case(
        view.experiment or view.run or dir.name,
        view.duration,
        values,
        outcome,
        type=words.verdict(view),
        message=f"{told}: {words.why(view) or words.score(view)}",
        output=terminal.draw(view) if outcome else "",
    )


def _outcome(view: View) -> str:
    if not view.finished or view.verdict == Verdict.DIRTY:
        return ERROR
    if view.right:
        return ""
    return ERROR if view.verdict in ERRORS else FAILURE
