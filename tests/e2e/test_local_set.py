"""`make chaos-local` ends with every experiment of the local set equal to its declaration."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest

from tests.e2e.live import verdict_of
from tests.e2e.local_set import LocalSet, declared

pytestmark = pytest.mark.e2e


def test_every_experiment_of_the_local_set_ends_as_it_declares(
    local_set: LocalSet, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts = {name: verdict_of(directory) for name, directory in local_set.runs.items()}
    with capsys.disabled():
        for name, verdict in verdicts.items():
            said = (
                f"{verdict['verdict']:<12} {verdict['seconds']:5.1f} s, {verdict['overhead']:.2f} s beyond its phases"
            )
            print(f"\n    {name:<32} {said}", end="", flush=True)
    declared(local_set)
    for directory in local_set.runs.values():
        assert (directory / "index.html").exists()
        assert (directory / "junit.xml").exists()
    cases = ElementTree.parse(local_set.junit).getroot().iter("testcase")
    properties = [{item.get("name"): item.get("value") for item in case.iter("property")} for case in cases]
    assert all({"chaos_verdict", "chaos_run", "chaos_report"} <= set(found) for found in properties), json.dumps(
        properties
    )
