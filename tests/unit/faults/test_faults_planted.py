"""A fault is one file, an objective is one, a hand is a folder: whoever adds one edits nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILE = '''"""Lull pods.

Felt when it snores.
"""

from harness.faults.kind import FaultKind
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.parameter import Parameter, Type


async def nothing(fault, reach):
    return {}


FAULT = FaultKind(
    name="pod_doze",
    hand=Hand.API,
    target="pod",
    summary="Lull pods to sleep.",
    evidence="it snores",
    healed_when="it is awake",
    disturbs=frozenset({Disturbance.SERVING}),
    parameters=(Parameter("soundly", Type.BOOLEAN, "Whether it dreams.", default=False),),
    rights=({"apiGroups": [""], "resources": ["pods/lullaby"], "verbs": ["create"]},),
    inject=nothing,
    felt=nothing,
    healed=nothing,
)
'''


OBJECTIVE = '''"""Judge the calm."""

from harness.checkers.kind import ObjectiveKind
from harness.model.disturbance import Disturbance
from harness.model.parameter import Parameter, Type
from harness.model.verdict import Finding, State


def check(history, parameters):
    return Finding("calm", State.HELD, f"{parameters['naps']} naps")


OBJECTIVE = ObjectiveKind(
    name="calm",
    place=99,
    summary="Nobody is woken.",
    broken="somebody woke",
    unknown="nobody looked",
    exercised_by=frozenset({Disturbance.SERVING}),
    check=check,
    parameters=(Parameter("naps", Type.INTEGER, "How many.", required=True),),
    needs_load=False,
)
'''
HAND = '''"""Lull by the API, in the place of the hand that is there."""

from harness.hands.kind import HandKind
from harness.model.check import Check
from harness.model.fault import Hand


async def ready(place, faults):
    pass


async def residue(place):
    return {}


async def checks(place):
    return [Check("cluster", "lullaby", True, "sings")]


def take(place, healer):
    return "the singing hand"


HAND = HandKind(hand=Hand.API, by_healer=True, ready=ready, take=take, residue=residue, checks=checks)
'''

# All else of that hand stays where it is.
BESIDE = 'from harness import hands\n\n__path__.append(f"{hands.__path__[-1]}/api")\n'


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("planted")
    files = {"faults/pod_doze.py": FILE, "checkers/calm.py": OBJECTIVE, "hands/api/hand.py": HAND}
    for name, text in {**files, "hands/api/__init__.py": BESIDE}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "tests.unit.faults.planted", str(folder)]
    found: dict[str, str] = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    return found


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("schema", ['"const": "pod_doze"', "Whether it dreams."]),
        (
            "action",
            [
                "(target: dict, soundly: bool = None, duration: str = None, times: int = None, every: str = None,"
                " late: bool = None, configuration: dict = None) -> dict"
            ],
        ),
        (
            "explain",
            ["pod_doze  (hand: api, aimed at a pod)", "Lull pods to sleep.", "soundly", "Felt when it snores."],
        ),
        ("explain", ["exercises  availability, burn-rate, calm, latency, recovery, retries"]),
        ("schema", ['"calm": {"description": "Nobody is woken."']),
        ("objective", ["somebody woke", "How many. (required)"]),
        ("hand", ["the singing hand"]),
        ("checks", ["lullaby"]),
        ("finding", ["calm held: 3 naps"]),
        ("role", ['"resources": ["pods/lullaby"]']),
        ("plan", ["pod_doze", "shop/cart-0  uid-0  on worker"]),
    ],
)
def test_what_somebody_adds_as_one_file_is_known_everywhere(told, where, words):
    assert [word for word in words if word not in told[where]] == []
