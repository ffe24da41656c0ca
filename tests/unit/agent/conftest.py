"""A lab for each test that wants one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.agent.resident.healing import Agent
from harness.agent.resident.leases import Leases
from harness.agent.resident.ledger import Ledger
from harness.agent.resident.processes import pods
from tests.unit.agent import box, patience
from tests.unit.agent.box import Box
from tests.unit.agent.lab import Lab, missing
from tests.unit.agent.pod import ROOT, Pod
from tests.unit.agent.program import LEASE, Program, lease
from tests.unit.agent.server import Server
from tests.unit.agent.told import Told


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """Wait for what a busy machine takes its time for."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in patience.limits():
            patch.setattr(module, name, value)
        yield


@pytest.fixture
def lab() -> Iterator[Lab]:
    lacks = missing()
    if lacks:
        pytest.skip(lacks)
    made = Lab()
    yield made
    made.close()


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the only processes that the agent may see."""
    folder = tmp_path / "proc"
    folder.mkdir()
    monkeypatch.setattr(pods, "PROC", folder)
    monkeypatch.setenv("AGENT_PROC", str(folder))
    return folder


@pytest.fixture
def pod(lab: Lab, proc: Path) -> Iterator[Pod]:
    if not os.access(ROOT, os.W_OK):
        pytest.skip("control groups cannot be made here")
    made = Pod(proc, lab)
    yield made
    made.delete()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.put(LEASE, lease())
    yield made
    made.close()


@pytest.fixture
def program(server: Server, proc: Path, tmp_path: Path) -> Iterator[Program]:
    made = Program(server, tmp_path)
    made.start()
    yield made
    if made.process:
        made.process.terminate()
        made.process.wait()
    made.kill()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def make(told: Told, tmp_path: Path):
    """Make an agent; each one finds the ledger of the one before it."""
    made: list[Agent] = []

    def making(seconds: float = 600) -> Agent:
        made.append(Agent(Ledger(tmp_path / "ledger.json"), Leases(seconds), told))
        return made[-1]

    yield making
    for agent in made:
        agent.end()


@pytest.fixture
def boxes(proc: Path) -> Iterator[Callable[..., Box]]:
    """Make pods whose one container has control groups of its own, with limits."""
    if why := box.missing():
        pytest.skip(why)
    made: list[Box] = []

    def making(*command: str, **limits: int) -> Box:
        made.append(Box(proc, command, limits))
        return made[-1]

    yield making
    for one in made:
        one.delete()
