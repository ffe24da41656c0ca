"""A lab for each test that wants one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.agent.resident import pods
from tests.unit.agent.lab import Lab, missing
from tests.unit.agent.pod import ROOT, Pod
from tests.unit.agent.program import LEASE, Program, lease
from tests.unit.agent.server import Server


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
    made.stop()


@pytest.fixture
def program(server: Server, pod: Pod, tmp_path: Path) -> Iterator[Program]:
    made = Program(server, tmp_path)
    made.start()
    yield made
    if made.process:
        made.process.terminate()
        made.process.wait()
    made.kill()
