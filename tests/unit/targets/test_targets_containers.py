"""Which container is hit, and which of its processes: no sidecar that nobody named, never more than one process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.faults import FAULTS
from harness.hands.host import inside
from harness.model.plan import Victim
from harness.targets import containers

ID = "4f1d2c"
OTHER = "99aabb"


def pod(*ordinary: str, annotated: str = "", sidecars: tuple[str, ...] = (), inits: tuple[str, ...] = ()) -> Any:
    metadata: dict[str, Any] = {"name": "web-1"}
    if annotated:
        metadata["annotations"] = {containers.DEFAULT: annotated}
    init = [{"name": name, "restartPolicy": "Always"} for name in sidecars] + [{"name": name} for name in inits]
    spec = {
        "initContainers": init,
        "containers": [{"name": name} for name in ordinary],
        "ephemeralContainers": [{"name": "debug"}],
    }
    running = [{"name": name, "state": {"running": {}}, "containerID": f"containerd://{name}"} for name in ordinary]
    return {"metadata": metadata, "spec": spec, "status": {"containerStatuses": running}}


@pytest.mark.case(
    19,
    "a pod whose first container is a proxy and whose annotation names another as its default; none is named",
    "the annotated container is hit, and plan, terminal and report name it",
)
def test_the_annotated_container_is_meant_when_none_is_named():
    item = pod("proxy", "web", annotated="web")
    assert containers.default(item) == "web"
    assert containers.running(item, "")["containerID"] == "containerd://web"
    assert containers.one_named(item, "") == "web"
    assert Victim("pod", "web-1", "u", "shop", container="web").shown == "shop/web-1 (container web)"


@pytest.mark.parametrize("annotated", ["", "gone", "setup", "debug"])
def test_the_first_ordinary_container_is_meant_where_the_annotation_names_none_that_lasts(annotated):
    item = pod("web", "proxy", annotated=annotated, sidecars=("mesh",), inits=("setup",))
    assert containers.default(item) == "web"


def test_a_native_sidecar_is_hit_only_when_it_is_named():
    item = pod("web", sidecars=("mesh",), inits=("setup",))
    assert containers.default(item) == "web"
    assert containers.lasting(item) == ("web", "mesh")
    assert containers.one_named(item, "mesh") == "mesh"
    assert containers.default(pod("web", annotated="mesh", sidecars=("mesh",))) == "mesh"


def test_a_freeze_names_all_that_it_freezes_and_a_deletion_names_the_pod():
    item = pod("web", "proxy", sidecars=("mesh",), inits=("setup",))
    frozen = containers.all_named(item, "")
    assert frozen == "web, proxy, mesh, debug"
    assert Victim("pod", "p", "u", "shop", container=frozen).shown == "shop/p (containers web, proxy, mesh, debug)"
    assert FAULTS["pod_kill"].inside is None


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Processes that are real, in a tree of /proc that says of them what a node's would; gives who got the signal."""
    started: list[subprocess.Popen[bytes]] = []

    def kill(*told: tuple[str, int | None, int], signal: str = "KILL") -> str:
        """Signal the main process of container ID; each is told by its container, its parent and when it began."""
        started.extend(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in told)
        for process, (container, parent, born) in zip(started, told, strict=True):
            folder = tmp_path / str(process.pid)
            folder.mkdir()
            (folder / "cgroup").write_text(f"0::/kubelet/pod1/cri-containerd-{container}.scope\n")
            above = 1 if parent is None else started[parent].pid
            rest = " ".join(["S", str(above), *["0"] * 17, str(born), *["0"] * 30])
            (folder / "stat").write_text(f"{process.pid} (a) b (c) {rest}\n")
        op = inside.kill("node", ID, signal)
        argv = [word.replace("/proc", str(tmp_path)) for word in op["argv"]]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        numbers = {str(process.pid): number for number, process in enumerate(started)}
        said = [str(numbers[pid]) for pid in done.stdout.split()] if done.returncode == 0 else [done.stdout.strip()]
        ended = [str(number) for number, process in enumerate(started) if _ended(process)]
        return f"said {' '.join(said)}; ended {' '.join(ended)}"

    yield kill
    for process in started:
        process.kill()
        process.communicate()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Say whether a process got the signal; one that did not ends by itself when its line comes."""
    process.communicate(b"\n", timeout=10)
    return process.returncode < 0


@pytest.mark.case(
    20,
    "a container is killed while a person has a `kubectl exec` session in it, or a probe's command runs",
    "its main process gets the signal, and no other",
)
def test_a_session_in_the_container_is_not_its_main_process(processes):
    # The session's number is the lower one: numbers begin anew when they are used up.
    assert processes((ID, None, 900), (ID, None, 500), (ID, None, 1200)) == "said 1; ended 1"


def test_what_an_init_has_started_is_left_to_it(processes):
    assert processes((ID, None, 500), (ID, 0, 500), (ID, 1, 501), signal="TERM") == "said 0; ended 0"


def test_an_orphan_that_a_shared_process_namespace_took_over_is_not_the_main_process(processes):
    pause = (OTHER, None, 100)
    assert processes(pause, (ID, None, 500), (ID, 0, 700), (ID, 1, 600)) == "said 1; ended 1"


def test_another_container_of_the_pod_is_left_alone(processes):
    assert processes((OTHER, None, 100), (ID, None, 500)) == "said 1; ended 1"


def test_a_container_without_a_process_is_said_to_have_none(processes):
    assert processes((OTHER, None, 100)) == f"said no process of container {ID}; ended "
