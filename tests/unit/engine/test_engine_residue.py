"""What a fault leaves on a node is found there, by the program that the node's own shell runs."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.dying import looks
from harness.agent.resident.supervising import MARK
from harness.engine.undoing import residue

FAULT = f"run-1/residue-{os.getpid()}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a program of a name of its own, with a mark in its environment or without."""
    made: list[subprocess.Popen[bytes]] = []

    def starting(**environment: str) -> subprocess.Popen[bytes]:
        program = tmp_path / f"own-{os.getpid()}"
        if not program.exists():
            shutil.copy("/bin/sleep", program)
        made.append(subprocess.Popen([program, "600"], env=environment))
        about, deadline = Path(f"/proc/{made[-1].pid}"), time.monotonic() + 30
        # It has its name, and then its environment, a moment after it was started.
        while (about / "comm").read_text().strip() != program.name or bool(environment) is not bool(
            (about / "environ").read_bytes()
        ):
            assert time.monotonic() < deadline
        return made[-1]

    yield starting
    for one in made:
        one.kill()
        one.wait()


def found() -> list[str]:
    told = subprocess.run(["sh", "-c", residue.PROCESSES], capture_output=True, text=True, check=False)
    return told.stdout.splitlines()


def looked(line: str) -> str:
    """Return the first word of the program that follows a line of the residue."""
    ((script, arguments),) = looks.quick("", line).items()
    with subprocess.Popen(["sh", "-c", script, "sh", *arguments], stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout
        first = following.stdout.readline().strip()
        following.kill()
    return first


def test_the_processes_of_a_fault_are_found_once_for_each_fault(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    line = f"fault process {FAULT}"
    assert (line in found(), looked(line)) == (False, "0")
    start(**{MARK: FAULT, "OTHER": "1"})
    start(OTHER="1", **{MARK: FAULT})
    assert found().count(line) == 1
    assert looked(line) == "1"


def test_a_process_that_may_open_few_files_is_found_until_it_may_open_more(
    start: Callable[..., subprocess.Popen[bytes]],
) -> None:
    process = start()
    line = f"process limited own-{os.getpid()}"
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    assert (line in found(), looked(line)) == (False, "0")
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (12, hard))
    assert (line in found(), looked(line)) == (True, "1")
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert (line in found(), looked(line)) == (False, "0")


def test_a_process_that_is_stopped_is_found_until_it_goes_on(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start()
    line = f"process stopped own-{os.getpid()}"
    assert (line in found(), looked(line)) == (False, "0")
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert (line in found(), looked(line)) == (True, "1")
    process.send_signal(signal.SIGCONT)
    os.waitid(os.P_PID, process.pid, os.WCONTINUED)
    assert (line in found(), looked(line)) == (False, "0")


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"freezer/kubepods/pod1/freezer.state": "FROZEN"}, ["/kubepods/pod1"]),
        ({"freezer/kubepods/pod1/freezer.state": "FREEZING"}, ["/kubepods/pod1"]),
        ({"freezer/kubepods/pod1/freezer.state": "THAWED"}, []),
        ({"unified/cgroup.controllers": "", "unified/a.slice/cgroup.freeze": "1"}, ["ROOT/unified/a.slice"]),
        (
            {"cgroup.controllers": "cpu", "kubelet.slice/a/b/c/d/e/cgroup.freeze": "1", "b/cgroup.freeze": "0"},
            ["ROOT/kubelet.slice/a/b/c/d/e"],
        ),
        # What lies in a tree of version 1 and is called so is none.
        ({"memory/pod1/cgroup.freeze": "1"}, []),
    ],
    ids=["v1", "v1 on its way", "v1 thawed", "hybrid", "v2", "neither"],
)
def test_a_frozen_control_group_is_found_in_either_version(
    tmp_path: Path, tree: dict[str, str], told: list[str]
) -> None:
    for name, text in tree.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    script = residue.FROZEN.replace("/sys/fs/cgroup", str(tmp_path))
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False).stdout
    assert said.splitlines() == [f"cgroup frozen {place.replace('ROOT', str(tmp_path))}" for place in told]
