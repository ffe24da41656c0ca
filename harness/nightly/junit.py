"""Draw a night as one JUnit suite: a test case for each experiment, judged by its last run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from harness.nightly import repeats
from harness.nightly.nights import State, Tried
from harness.nightly.sheet import Row, Sheet
from harness.report.junit import ERRORS


def draw(sheet: Sheet, runs: Path) -> str:
    """Return the suite; a flip is a success that carries its first verdict, unless it comes too often."""
    ran = [(row, row.tried) for row in sheet.rows if row.tried]
    outcomes = [_outcome(row, tried) for row, tried in ran]
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", {
        "name": "chaos nightly",
        "tests": str(len(ran)),
        "failures": str(outcomes.count("failure")),
        "errors": str(outcomes.count("error")),
        "skipped": "0",
        "time": f"{sheet.night.seconds:.3f}",
        "timestamp": datetime.fromtimestamp(sheet.night.started, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    })  # fmt: skip
    for (row, tried), outcome in zip(ran, outcomes, strict=True):
        _case(suite, row, tried, outcome, runs)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _case(parent: ElementTree.Element, row: Row, tried: Tried, outcome: str, runs: Path) -> None:
    where, _, name = row.experiment.rpartition("/")
    case = ElementTree.SubElement(parent, "testcase", {
        "classname": ".".join(part for part in ("experiments", *where.split("/")) if part),
        "name": name,
        "time": f"{sum(run.seconds for run in tried.runs):.3f}",
    })  # fmt: skip
    properties = ElementTree.SubElement(case, "properties")
    last = tried.last
    values = {
        "verdict": last.verdict or repeats.NONE,
        "run": last.run,
        "report": str(runs / last.run / "index.html") if last.run else "",
        "state": str(row.state),
        "first_verdict": tried.first.verdict or repeats.NONE,
        "flip_rate": f"{row.flipped} of {row.nights} nights, {repeats.between(row.interval)}",
    }
    for key, value in values.items():
        ElementTree.SubElement(properties, "property", {"name": f"chaos_{key}", "value": value})
    said = "\n".join(row.said)
    if outcome:
        message = f"{str(row.state).upper()}: {row.shown}"
        ElementTree.SubElement(case, outcome, {"type": str(row.state), "message": message}).text = said
    elif row.state is State.FLIP:
        ElementTree.SubElement(case, "system-out").text = f"FLIP: {row.shown}\n{said}"


def _outcome(row: Row, tried: Tried) -> str:
    if tried.last.right:
        return "failure" if row.too_often else ""
    return "error" if not tried.last.verdict or tried.last.verdict in ERRORS else "failure"
