"""A container's control groups are found by its id, whatever its runtime calls them, and entered."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.agent.resident.processes import pods
from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import groups, hogs
from harness.agent.resident.resources.groups import Groups

SECOND = Path("/sys/fs/cgroup/unified")
UID, ID = "0a7c9d52-5a0e-4a53-9a39-2f2f4b3c1d11", "f" * 64


NAMES = (ID, f"cri-containerd-{ID}.scope", f"crio-{ID}.scope", f"docker-{ID}.scope", f"pod1.slice:cri-containerd:{ID}")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("first", [True, False], ids=["version 1", "version 2"])
def test_a_containers_folder_is_found(tmp_path: Path, name: str, first: bool):
    meant = tmp_path / ("memory" if first else "") / "kubepods.slice" / "pod1" / name
    for one in (meant, meant.parent / f"{ID}0", meant.parent / f"crio-conmon-{ID}.scope", meant / "below"):
        one.mkdir(parents=True)
    if not first:
        (tmp_path / "cgroup.controllers").touch()
    assert Groups(tmp_path, ID).folder("memory") == meant


def test_a_container_without_one_is_refused(tmp_path: Path):
    (tmp_path / "memory").mkdir()
    with pytest.raises(Refused, match="no control group memory"):
        Groups(tmp_path, ID).folder("memory")


def test_cpu_is_two_controllers_in_version_1_where_there_are_two(tmp_path: Path):
    for one in ("cpu", "cpuacct", "pids"):
        (tmp_path / one / ID).mkdir(parents=True)
    doors = Groups(tmp_path, ID).doors("cpu", "pids")
    assert doors == [tmp_path / one / ID / "cgroup.procs" for one in ("cpu", "cpuacct", "pids")]


@pytest.fixture
def second(proc: Path) -> Iterator[tuple[Path, str]]:
    """A container in control groups of version 2, whose process is in a group of its own making below."""
    if os.geteuid() != 0 or not os.access(SECOND / "cgroup.procs", os.W_OK):
        pytest.skip("no control groups of version 2 can be made here")
    identity = uuid.uuid4().hex * 2
    leaf = SECOND / f"kubepods-{identity[:8]}" / f"cri-containerd-{identity}.scope" / "init"
    leaf.mkdir(parents=True)
    process = subprocess.Popen(["sleep", "600"])
    (leaf / "cgroup.procs").write_text(str(process.pid))
    for name, pid in (("1", os.getpid()), (str(process.pid), process.pid)):
        (proc / name).symlink_to(f"/proc/{pid}")
    yield leaf, identity
    process.kill()
    process.wait()
    for one in (leaf, leaf.parent, leaf.parent.parent):
        one.rmdir()


def test_in_version_2_a_process_goes_where_those_of_the_container_are(second: tuple[Path, str]):
    leaf, identity = second
    groups.stay_outside()
    doors = Groups(SECOND, identity).doors("cpu")
    assert doors == [leaf / "cgroup.procs"]
    hog = hogs.start(signal.pause, doors, 60)
    try:
        assert str(hog.pid) in doors[0].read_text().split()
    finally:
        assert hogs.end([hog]) == []


def test_a_process_of_a_fault_ends_by_a_timer_of_the_kernels_whatever_becomes_of_everybody_else():
    # Less than it takes whoever starts it to put it through the doors.
    hog = hogs.start(signal.pause, [], 1e-6)
    assert select.select([hog.handle], [], [], 30)[0]
    assert hogs.ended(hog) == "by SIGALRM"
    os.close(hog.handle)


def test_a_closed_door_is_told_of(tmp_path: Path):
    with pytest.raises(Refused, match="take nobody in"):
        hogs.start(lambda: None, [tmp_path / "none" / "cgroup.procs"], 60)


def test_what_belongs_to_a_container_is_asked_for_by_its_whole_id():
    with pytest.raises(Refused, match="no container id"):
        next(pods.inside("../x"))


def test_the_agent_is_no_target_of_its_own(proc: Path):
    """What it stopped or filled there would be undone by nobody."""
    folder = proc / str(os.getpid())
    folder.mkdir()
    (folder / "cgroup").write_text(f"0::/kubepods/pod{UID}/{ID}\n")
    (folder / "stat").write_text(Path("/proc/self/stat").read_text())
    with pytest.raises(Refused, match="no target of its own"):
        pods.hold(UID, ID)
