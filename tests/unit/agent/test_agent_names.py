"""A container's name and id, as its node tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.agent.resident.processes import pods

UID = "9a1c7a7e-2f0b-4c39-8a8f-0d2f8a4f2b11"
NODE, SANDBOX, WEB = "a" * 64, "b" * 64, "c" * 64
# As the local cluster's kernel has it: the node itself is a container, and its volume lies on another disk.
WORDS = "/var/lib/docker/volumes/x/_data/lib/kubelet/pods/{uid}/containers/web/1f2e3d4c"
LINE = "1 2 254:1 {root} /dev/termination-log rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
OTHER = LINE.format(root=f"/lib/kubelet/pods/{UID}/etc-hosts")


def show(proc: Path, pid: int, container: str, mounts: str, style: str = "/{}") -> None:
    folder = proc / str(pid)
    folder.mkdir()
    path = f"/docker/{NODE}/kubelet/kubepods/burstable/pod{UID}" + style.format(container)
    (folder / "cgroup").write_text(f"5:freezer:{path}\n4:cpu:{path}\n")
    (folder / "mountinfo").write_text(mounts)


@pytest.mark.parametrize("style", ["/{}", "/cri-containerd-{}.scope", "/crio-{}.scope"])
def test_a_running_container_is_found_by_its_name(proc: Path, style: str):
    show(proc, 7, SANDBOX, OTHER, style)
    show(proc, 8, WEB, OTHER + LINE.format(root=WORDS.format(uid=UID)), style)
    assert pods.named(UID, "web") == WEB
    assert pods.named(UID, "proxy") == ""


def test_a_process_that_its_kubelet_gave_no_file_has_no_name(proc: Path):
    show(proc, 7, SANDBOX, OTHER)
    assert pods.name_of(7) == ""
    assert pods.name_of(99) == ""
