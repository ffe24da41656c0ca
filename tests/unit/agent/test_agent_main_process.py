"""Which of a container's processes gets a signal: never more than one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.agent.resident import fault
from harness.agent.resident.processes import signals
from harness.agent.resident.refused import Refused

UID = "0a7c9d52-5a0e-4a53-9a39-2f2f4b3c1d11"
ID, OTHER = "4f1d2c" * 4, "99aabb" * 4


@pytest.fixture
def processes(proc: Path) -> Iterator[Callable[..., str]]:
    """Processes that are real, in a tree of /proc that says of them what a node's would; gives who got the signal."""
    started: list[subprocess.Popen[bytes]] = []

    def strike(*told: tuple[str, int | None, int], signal: str = "KILL", uid: str = UID) -> str:
        """Signal the main process of container ID; each is told by its container, its parent and when it began."""
        started.extend(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in told)
        for process, (container, parent, born) in zip(started, told, strict=True):
            folder = proc / str(process.pid)
            folder.mkdir()
            (folder / "cgroup").write_text(f"0::/kubelet/kubepods/pod{UID}/cri-containerd-{container}.scope\n")
            above = 1 if parent is None else started[parent].pid
            rest = " ".join(["S", str(above), *["0"] * 17, str(born), *["0"] * 30])
            (folder / "stat").write_text(f"{process.pid} (a) b (c) {rest}\n")
        numbers = {process.pid: number for number, process in enumerate(started)}
        try:
            said = str(numbers[signals.strike(uid, ID, signal)["pid"]])
        except Refused as refused:
            said = refused.what
        ended = [str(number) for number, process in enumerate(started) if _ended(process)]
        return f"said {said}; ended {' '.join(ended)}"

    yield strike
    for process in started:
        process.kill()
        process.communicate()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Say whether a process got the signal; one that did not ends by itself when its line comes."""
    process.communicate(b"\n", timeout=60)
    return process.returncode < 0


@pytest.mark.case(
    20,
    "a container is killed while a person has a `kubectl exec` session in it, or a probe's command runs",
    "its main process gets the signal, and no other",
)
def test_a_session_in_the_container_is_not_its_main_process(processes: Callable[..., str]):
    # The session's number is the lower one: numbers begin anew when they are used up.
    assert processes((ID, None, 900), (ID, None, 500), (ID, None, 1200)) == "said 1; ended 1"


def test_what_an_init_has_started_is_left_to_it(processes: Callable[..., str]):
    assert processes((ID, None, 500), (ID, 0, 500), (ID, 1, 501), signal="TERM") == "said 0; ended 0"


def test_an_orphan_that_a_shared_process_namespace_took_over_is_not_the_main_process(processes: Callable[..., str]):
    pause = (OTHER, None, 100)
    assert processes(pause, (ID, None, 500), (ID, 0, 700), (ID, 1, 600)) == "said 1; ended 1"


def test_another_container_of_the_pod_is_left_alone(processes: Callable[..., str]):
    assert processes((OTHER, None, 100), (ID, None, 500)) == "said 1; ended 1"


def test_a_container_without_a_process_is_said_to_have_none(processes: Callable[..., str]):
    assert processes((OTHER, None, 100)) == "said the container has no process on this node; ended "


def test_a_container_of_another_pod_is_left_alone(processes: Callable[..., str]):
    assert processes((ID, None, 500), uid=UID[::-1]) == "said the container is not of the pod; ended "


def test_the_processes_of_a_static_pod_are_found_by_the_uid_that_its_kubelet_has():
    order = {"op": "signal", "pod": "4f1d2c99", "container": ID, "signal": "KILL"}
    target = {"kind": "pod", "name": "p", "uid": UID}
    spec = {"hand": "node", "run": "run-1", "target": target, "parameters": {"node": order}}
    item = {"metadata": {"uid": "u1", "name": "f", "namespace": "shop"}, "spec": spec}
    found = fault.read(item)
    assert found
    assert found.pod == "4f1d2c99"
    del order["pod"]
    found = fault.read(item)
    assert found
    assert found.pod == UID
