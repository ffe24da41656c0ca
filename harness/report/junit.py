"""Draw one JUnit test suite of any number of runs, a test case each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from harness.journal import reader
from harness.model.verdict import Verdict
from harness.report import terminal, words
from harness.report.values import View
from harness.report.view import build

# These say nothing about the system under test: the run did not come to its own end.
ERRORS = frozenset({Verdict.ABORTED, Verdict.DIRTY})


def suite(dirs: Iterable[Path]) -> str:
    """Return the suite of the runs in these folders, from their journals."""
    return draw([(build(reader.read(dir)), dir) for dir in dirs])


def draw(runs: Sequence[tuple[View, Path]]) -> str:
    """Return the suite of these runs; a declared weakness that shows is a success, one that does not is a failure."""
    outcomes = [_outcome(view) for view, _ in runs]
    root = ElementTree.Element("testsuites")
    found = ElementTree.SubElement(root, "testsuite", {
        "name": "chaos",
        "tests": str(len(runs)),
        "failures": str(outcomes.count("failure")),
        "errors": str(outcomes.count("error")),
        "skipped": "0",
        "time": f"{sum(view.duration for view, _ in runs):.3f}",
        "timestamp": _timestamp(min((view.started for view, _ in runs), default=0.0)),
    })  # fmt: skip
    for (view, dir), outcome in zip(runs, outcomes, strict=True):
        _case(found, view, dir, outcome)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _case(parent: ElementTree.Element, view: View, dir: Path, outcome: str) -> None:
    where, _, name = (view.experiment or view.run or dir.name).rpartition("/")
    case = ElementTree.SubElement(parent, "testcase", {
        "classname": ".".join(part for part in ("experiments", *where.split("/")) if part),
        "name": name,
        "time": f"{view.duration:.3f}",
    })  # fmt: skip
    properties = ElementTree.SubElement(case, "properties")
    values = {"verdict": words.verdict(view), "run": view.run, "report": str(dir / "index.html")}
    for key, value in values.items():
        ElementTree.SubElement(properties, "property", {"name": f"chaos_{key}", "value": value})
    if outcome:
        told = " ".join(part for part in (words.verdict(view), words.declared(view)) if part)
        message = f"{told}: {words.why(view) or words.score(view)}"
        element = ElementTree.SubElement(case, outcome, {"type": words.verdict(view), "message": message})
        element.text = terminal.draw(view)


def _outcome(view: View) -> str:
    if not view.finished or view.verdict == Verdict.DIRTY:
        return "error"
    if view.right:
        return ""
    return "error" if view.verdict in ERRORS else "failure"


def _timestamp(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S")
