"""Nodes' control groups as their kubelets and runtimes lay them out: folders, and what /proc says of processes in them.

Taken down from a kubelet with each cgroup driver, containerd and CRI-O, on systemd's three layouts (version 1, version
2, and hybrid: version 1 with a tree `unified` beside it) and on one that mounts a tree for each controller.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

UID, OTHER_UID = "0a7c9d52-5a0e-4a53-9a39-2f2f4b3c1d11", "1b8d0e63-6b1f-4b64-8b4a-3a3a5c4d2e22"
ID, SANDBOX, OTHER_ID = "c" * 64, "b" * 64, "d" * 64
EACH = ("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids", "systemd")
# systemd mounts these two as one tree, with a link for each.
JOINT = ("cpu,cpuacct", *(one for one in EACH if one not in ("cpu", "cpuacct")))
FLAT = UID.replace("-", "_")
SLICE = f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{FLAT}.slice"
PLAIN = f"kubepods/burstable/pod{UID}"
# kind's kubelet has a group of its own as its root.
KIND = f"kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{FLAT}.slice"


@dataclass(frozen=True, slots=True)
class Layout:
    """One node: the trees of version 1, whether one of version 2 is beside them or alone, and names below its pod."""

    name: str
    first: tuple[str, ...]
    second: str | None
    pod: str
    container: str
    sandbox: str = ""
    watchers: tuple[str, ...] = ()
    inner: str = ""

    def tops(self, root: Path) -> list[Path]:
        """List the trees."""
        return [*(root / one for one in self.first), *([root / self.second] if self.second is not None else [])]

    def lay(self, root: Path) -> None:
        """Make the folders."""
        for top in self.tops(root):
            for below in (self.group, self.sandbox, *self.watchers):
                (top / self.pod / below).mkdir(parents=True)
            (top / "system.slice" / "sshd.service").mkdir(parents=True)
            (top / self.pod.replace(UID, OTHER_UID).replace(FLAT, OTHER_UID.replace("-", "_")) / OTHER_ID).mkdir(
                parents=True
            )
        for one in ("cpu", "cpuacct") if "cpu,cpuacct" in self.first else ():
            (root / one).symlink_to("cpu,cpuacct")
        if self.second is not None:
            # In a hybrid one no controller is left for it.
            there = "" if self.first else "cpuset cpu io memory hugetlb pids rdma misc"
            (root / self.second / "cgroup.controllers").write_text(f"{there}\n")

    @property
    def group(self) -> str:
        """Return the folder of the container's processes, below its pod's."""
        return "/".join(filter(None, (self.container, self.inner)))

    def process(self, proc: Path, pid: int, below: str, *, parent: int, born: int) -> None:
        """Show a process that is in a group below the pod's."""
        folder = proc / str(pid)
        folder.mkdir()
        path = f"/{self.pod}/{below}"
        trees = [f"{number}:{one}:{path}" for number, one in enumerate(map(_called, self.first), 2)]
        (folder / "cgroup").write_text("\n".join([*trees[::-1], *([f"0::{path}"] if self.second is not None else [])]))
        rest = " ".join(["S", str(parent), *["0"] * 17, str(born), *["0"] * 30])
        (folder / "stat").write_text(f"{pid} (x) {rest}\n")


def _called(tree: str) -> str:
    return "name=systemd" if tree == "systemd" else tree


CONTAINERD = {"container": f"cri-containerd-{ID}.scope", "sandbox": f"cri-containerd-{SANDBOX}.scope"}
# CRI-O drops the sandbox's process where it can, and keeps its group.
CRIO = {"container": f"crio-{ID}.scope", "sandbox": f"crio-{SANDBOX}.scope"}
WATCHERS = (f"crio-conmon-{ID}.scope", f"crio-conmon-{SANDBOX}.scope")
LAYOUTS = (
    Layout("v1 by cgroupfs", EACH, None, PLAIN, ID, SANDBOX),
    Layout("v1 by systemd", JOINT, None, SLICE, **CONTAINERD),
    Layout("v1 by systemd, CRI-O", JOINT, None, SLICE, **CRIO, watchers=WATCHERS),
    Layout("hybrid by cgroupfs", JOINT, "unified", PLAIN, ID, SANDBOX),
    Layout("hybrid by systemd", JOINT, "unified", SLICE, **CONTAINERD),
    Layout("hybrid without a freezer", tuple(one for one in JOINT if one != "freezer"), "unified", SLICE, **CONTAINERD),
    Layout("v2 by cgroupfs", (), "", PLAIN, ID, SANDBOX),
    Layout("v2 by cgroupfs, CRI-O", (), "", PLAIN, f"crio-{ID}", f"crio-{SANDBOX}", (f"crio-conmon-{ID}",)),
    Layout("v2 by systemd", (), "", SLICE, **CONTAINERD),
    Layout("v2 by systemd, CRI-O, runc", (), "", SLICE, **CRIO, watchers=WATCHERS),
    Layout("v2 by systemd, CRI-O, crun", (), "", SLICE, **CRIO, watchers=WATCHERS, inner="container"),
    Layout("v2 in kind", (), "", KIND, **CONTAINERD),
)
