"""The experiments that ship: ours reads them, Chaos Toolkit validates them, the local set stays short."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.documents import document

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "experiments").rglob("*.yaml"))
NAMES = [f"{path.parent.name}/{path.stem}" for path in FILES]
SLO = document.defaults(ROOT / document.SLO_FILE)

VALIDATE = """
import json, sys
import yaml
from chaoslib.exceptions import ChaosException
from chaoslib.experiment import ensure_experiment_is_valid

wrong = {}
for path in sys.argv[1:]:
    try:
        ensure_experiment_is_valid(yaml.load(open(path, encoding="utf-8"), yaml.CSafeLoader))
    except ChaosException as error:
        wrong[path] = str(error)
print(json.dumps(wrong))
"""


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_the_document_loads_and_is_in_a_set(path):
    experiment = document.load(path, SLO)
    assert "nightly" in experiment.sets
    assert experiment.probes
    assert {objective.checker for objective in experiment.objectives} >= {"availability", "latency", "recovery"}


def test_chaos_toolkit_validates_every_document():
    done = subprocess.run(
        [sys.executable, "-c", VALIDATE, *map(str, FILES)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {}


def test_the_chaos_command_takes_a_document():
    command = [sys.executable, "-m", "chaostoolkit", "--no-version-check", "--no-log-file", "validate", str(FILES[0])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "look valid" in done.stdout + done.stderr


def test_the_local_set_is_worth_running_and_short():
    every = [document.load(path, SLO) for path in FILES]
    local = [experiment for experiment in every if "local" in experiment.sets]
    assert len(local) >= 10
    assert sum(experiment.phases.baseline + experiment.phases.hold for experiment in local) <= 120
    # What `harness up` brings by itself is all that it needs.
    assert not any(experiment.parts for experiment in local)
    # What only looks on is nobody's way to an answer: it can wait for the night.
    components = {experiment.path.parent.name for experiment in every if not experiment.parts} - {"monitoring"}
    assert {experiment.path.parent.name for experiment in local} == components
