"""A pod and a container are found in every layout of control groups that nodes have, and nobody else is."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.agent.resident import offers
from harness.agent.resident.processes import cgroups, freezer, pods
from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import memory_group, pids
from harness.agent.resident.resources.groups import Groups
from tests.unit.agent.layouts import ID, LAYOUTS, OTHER_UID, UID, Layout

MEBI = 1 << 20
EVERY = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
# Where this machine's own tree of version 2 is.
SECOND = next(
    (one for one in map(Path, ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")) if (one / "cgroup.controllers").exists()),
    Path("/nowhere"),
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "groups"
    made.mkdir()
    monkeypatch.setattr(cgroups, "ROOT", made)
    return made


def controlled(layout: Layout, root: Path, controller: str) -> Path:
    """Return the pod's folder of a controller."""
    tree = next((one for one in layout.first if controller in one.split(",")), layout.second or "")
    return root / (controller if (root / controller).is_symlink() else tree) / layout.pod


@EVERY
def test_what_freezes_a_pod_is_its_group_in_the_one_tree_that_can(layout: Layout, root: Path):
    layout.lay(root)
    assert freezer.groups(UID) == [controlled(layout, root, "freezer")]
    assert freezer.groups(OTHER_UID[:8] + UID[8:]) == []


@EVERY
@pytest.mark.parametrize("controller", ["cpu", "cpuacct", "memory", "pids", "blkio"])
def test_a_containers_folder_is_its_own_whatever_is_called_after_it(layout: Layout, root: Path, controller: str):
    layout.lay(root)
    pod, found = controlled(layout, root, controller), Groups(root, ID)
    assert found.folder(controller) == pod / layout.group
    assert found.pod(controller) == pod


@EVERY
def test_a_container_has_a_main_process_and_a_pod_none_but_those_of_its_containers(
    layout: Layout, root: Path, proc: Path
):
    layout.lay(root)
    # It was there before the container, and what it started is outside of its own group.
    for pid, below in enumerate(layout.watchers, 20):
        layout.process(proc, pid, below, parent=1, born=50)
    layout.process(proc, 30, layout.group, parent=20, born=100)
    layout.process(proc, 31, layout.group, parent=30, born=101)
    layout.process(proc, 32, f"{layout.group}/own", parent=30, born=102)
    (proc / "40").mkdir()
    (proc / "40/cgroup").write_text("\n".join(f"3:{one}:/system.slice/sshd.service" for one in ("memory", "")))
    assert pods.main_process(ID) == 30
    assert list(pods.processes(UID)) == [30, 31, 32]
    assert list(pods.inside(ID)) == [30, 31, 32]


@EVERY
def test_a_process_enters_a_container_where_its_own_are(layout: Layout, root: Path, proc: Path):
    layout.lay(root)
    layout.process(proc, 30, layout.group, parent=1, born=100)
    doors = Groups(root, ID).doors("cpu", "memory")
    wanted = ["cpu", "cpuacct", "memory"] if layout.first else [""]
    assert doors == [controlled(layout, root, one) / layout.group / "cgroup.procs" for one in wanted]


@EVERY
def test_a_containers_name_and_id_are_told_by_its_processes(layout: Layout, root: Path, proc: Path):
    layout.process(proc, 30, layout.group, parent=1, born=100)
    words = f"/lib/kubelet/pods/{UID}/containers/web/1f2e3d4c"
    (proc / "30/mountinfo").write_text(f"1 2 8:1 {words} /dev/termination-log rw - ext4 /dev/sda1 rw\n")
    assert pods.named(UID, "web") == ID


@EVERY
def test_a_node_offers_what_it_can(layout: Layout, root: Path):
    layout.lay(root)
    for one in layout.tops(root):
        (one / "system.slice" / "cgroup.freeze").touch()
    first = any("freezer" in one for one in layout.first)
    assert offers._freezing() == {"ok": True, "said": f"cgroup v{1 if first else 2}"}
    assert offers._resources() == {"ok": True, "said": "cpu, memory, pids"}


def test_a_kernel_of_version_2_that_freezes_nothing_says_so(root: Path):
    LAYOUTS[-1].lay(root)
    assert offers._freezing() == {"ok": False, "said": "this kernel freezes no control groups of version 2"}


def test_a_controller_that_a_node_of_version_2_does_not_have_is_told(root: Path):
    LAYOUTS[-1].lay(root)
    (root / "cgroup.controllers").write_text("cpu memory\n")
    assert offers._resources() == {"ok": False, "said": "no control groups of pids"}


def test_a_group_of_version_2_that_is_called_like_a_tree_of_version_1_is_none(root: Path):
    layout = LAYOUTS[-1]
    layout.lay(root)
    (root / "freezer" / f"pod{UID}").mkdir(parents=True)
    (root / "memory").mkdir()
    assert controlled(layout, root, "freezer") in freezer.groups(UID)
    assert Groups(root, ID).folder("memory").is_relative_to(root / layout.pod)


def test_two_controllers_of_one_tree_are_found_without_links_too(root: Path):
    (root / "cpu,cpuacct" / ID).mkdir(parents=True)
    assert Groups(root, ID).folder("cpuacct") == root / "cpu,cpuacct" / ID


def test_nodes_without_control_groups_have_none_of_a_pod(root: Path):
    assert freezer.groups(UID) == []
    assert not offers._freezing()["ok"]
    with pytest.raises(Refused, match="no control group memory"):
        Groups(root, ID).folder("memory")


@pytest.mark.parametrize("layout", [one for one in LAYOUTS if not one.first], ids=lambda layout: layout.name)
def test_a_pods_own_limit_is_told_from_what_holds_all_pods(layout: Layout, root: Path, tmp_path: Path, monkeypatch):
    """One of crun's has its limits one further down: what it is in is not its pod."""
    layout.lay(root)
    pod = root / layout.pod
    limits = {pod / layout.group: 100, pod: 300, pod.parent: 4000, root / layout.pod.partition("/")[0]: 4000}
    for folder, mebi in limits.items():
        (folder / "memory.max").write_text(f"{mebi * MEBI}\n")
        (folder / "memory.current").write_text(f"{90 * MEBI}\n")
        (folder / "memory.stat").write_text("inactive_file 0\n")
    (pod / "pids.max").write_text("60\n")
    monkeypatch.setattr(memory_group, "MEMINFO", tmp_path / "meminfo")
    memory_group.MEMINFO.write_text(f"MemTotal: {16 * MEBI} kB\nMemAvailable: {8 * MEBI} kB\n")
    found = Groups(root, ID)
    own, whole = memory_group.limited(found), memory_group.of_pod(found)
    assert whole
    assert (own.limit, whole.limit) == (100 * MEBI, 300 * MEBI)
    # The pod has less to spare than a node is to keep, which is nobody's business but the pod's.
    memory_group.require(found, 10 * MEBI)
    assert pids.lowest(found) == (pod, 60)


@pytest.fixture
def real(proc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A pod of one process in this machine's own tree of version 2, on a node whose freezer is of that version."""
    if os.geteuid() != 0 or not os.access(SECOND / "cgroup.procs", os.W_OK):
        pytest.skip("no control groups of version 2 can be made here")
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "unified").symlink_to(SECOND)
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "node")
    uid = str(uuid.uuid4())
    folder = SECOND / f"kubepods-{uid[:8]}" / f"pod{uid}"
    (folder / ID).mkdir(parents=True)
    process = subprocess.Popen(["sleep", "600"])
    (folder / ID / "cgroup.procs").write_text(str(process.pid))
    for name, pid in (("1", os.getpid()), (str(process.pid), process.pid)):
        (proc / name).symlink_to(f"/proc/{pid}")
    yield uid, folder
    freezer.thaw(uid)
    process.kill()
    process.wait()
    for one in (folder / ID, folder, folder.parent):
        one.rmdir()


def test_a_pod_is_frozen_and_thawed_in_version_2(real: tuple[str, Path]):
    uid, folder = real
    assert (freezer.frozen(uid), list(pods.processes(uid)) != []) == (False, True)
    freezer.freeze(uid)
    assert freezer.frozen(uid)
    assert "frozen 1" in (folder / "cgroup.events").read_text()
    freezer.thaw(uid)
    assert not freezer.frozen(uid)
    assert "frozen 0" in (folder / ID / "cgroup.events").read_text()
