"""`make chaos-local` ends with every experiment of the local set equal to its declaration."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import ROOT, events, starved, verdict_of

pytestmark = pytest.mark.e2e


def test_every_experiment_of_the_local_set_ends_as_it_declares(
    cluster: LocalCluster, as_found: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junit = tmp_path / "junit.xml"
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "experiments",
        "--chaos-set",
        "local",
        "--chaos-runs",
        str(tmp_path / "runs"),
    ]
    done = subprocess.run([*argv, f"--junitxml={junit}"], cwd=ROOT, capture_output=True, text=True, timeout=900)
    verdicts = []
    for directory in sorted((tmp_path / "runs").iterdir()):
        lines = events(directory)
        name = next(event["data"]["experiment"] for event in lines if event["type"] == "run.start")  # type: ignore[index]
        verdicts.append((name, verdict_of(directory)))
        assert (directory / "index.html").exists()
        assert (directory / "junit.xml").exists()
    with capsys.disabled():
        for name, verdict in verdicts:
            said = (
                f"{verdict['verdict']:<12} {verdict['seconds']:5.1f} s, {verdict['overhead']:.2f} s beyond its phases"
            )
            print(f"\n    {name:<32} {said}", end="", flush=True)
    unknown = [name for name, verdict in verdicts if starved(verdict)]
    assert all(verdict["right"] or name in unknown for name, verdict in verdicts), done.stdout[-6000:]
    assert done.returncode == (2 if unknown else 0), done.stdout[-6000:]
    assert len(verdicts) - len(unknown) >= 10
    cases = ElementTree.parse(junit).getroot().iter("testcase")
    properties = [{item.get("name"): item.get("value") for item in case.iter("property")} for case in cases]
    assert all({"chaos_verdict", "chaos_run", "chaos_report"} <= set(found) for found in properties), json.dumps(
        properties
    )
