"""Write one JUnit test suite: what a run's and a night's have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree

FAILURE, ERROR = "failure", "error"


@dataclass(frozen=True, slots=True)
class Case:
    """One experiment as a test case; `seconds` long, with no `outcome` a success, whose `output` may still say more."""

    experiment: str
    seconds: float
    properties: Mapping[str, str]
    outcome: str = ""
    type: str = ""
    message: str = ""
    output: str = ""


def write(name: str, cases: Sequence[Case], *, seconds: float, started: float) -> str:
    """Return the suite as XML; `started` is in seconds since 1970."""
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", {
        "name": name,
        "tests": str(len(cases)),
        "failures": str(sum(case.outcome == FAILURE for case in cases)),
        "errors": str(sum(case.outcome == ERROR for case in cases)),
        "skipped": "0",
        "time": f"{seconds:.3f}",
        "timestamp": datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    })  # fmt: skip
    for case in cases:
        _add(suite, case)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _add(suite: ElementTree.Element, case: Case) -> None:
    where, _, name = case.experiment.rpartition("/")
    added = ElementTree.SubElement(suite, "testcase", {
        "classname": ".".join(part for part in ("experiments", *where.split("/")) if part),
        "name": name,
        "time": f"{case.seconds:.3f}",
    })  # fmt: skip
    properties = ElementTree.SubElement(added, "properties")
    for key, value in case.properties.items():
        ElementTree.SubElement(properties, "property", {"name": f"chaos_{key}", "value": value})
    if case.outcome:
        told = {"type": case.type, "message": case.message}
        ElementTree.SubElement(added, case.outcome, told).text = case.output
    elif case.output:
        ElementTree.SubElement(added, "system-out").text = case.output
