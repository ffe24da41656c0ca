"""One container's control groups: where they are, what they allow and count, and how a process enters them.

Their folders are found by the container's id, for paths that a process names are relative to whoever reads them.
"""

from __future__ import annotations

import ctypes
import functools
import os
from dataclasses import dataclass
from pathlib import Path

from harness.agent.resident.processes import cgroups, pods
from harness.agent.resident.refused import Refused

_CLONE_NEWCGROUP = 0x02000000
_OWN_VIEW = Path("/proc/self/ns/cgroup")
# Version 1 writes the largest multiple of a page where there is no limit.
_UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class Groups:
    """The folders of one container; `root` is where control groups are mounted."""

    root: Path
    container: str

    @property
    def first(self) -> bool:
        """Say whether they are of version 1."""
        return not cgroups.second(self.root)

    def folder(self, controller: str) -> Path:
        """Return the container's folder of a controller; raises Refused without one."""
        return cgroups.inmost(self._own(controller))

    def pod(self, controller: str) -> Path:
        """Return its pod's folder of a controller; raises Refused without one."""
        return self._own(controller).parent

    def doors(self, *controllers: str) -> list[Path]:
        """List the files that take a process in, for these controllers."""
        if not self.first:
            return [self._leaf() / "cgroup.procs"]
        # The two may share a tree, and each may be missing.
        both = ("cpu", "cpuacct") if "cpu" in controllers else ()
        there = [one for one in both if cgroups.tree(self.root, one)]
        wanted = dict.fromkeys([*there, *(one for one in controllers if one != "cpu")])
        return [self.folder(one) / "cgroup.procs" for one in wanted]

    def _own(self, controller: str) -> Path:
        top = cgroups.tree(self.root, controller)
        found = _found(top, self.container) if top else None
        if found is None:
            raise Refused(f"the container has no control group {controller}".strip(), self.container[:12])
        return found

    def _leaf(self) -> Path:
        """Return the folder that has the container's processes: one with others below takes none in itself."""
        own = self._own("")
        path = cgroups.path(pods.paths(pods.main_process(self.container)))
        below = path.partition(own.name)[2].strip("/")
        return own / below if below and (own / below).is_dir() else self.folder("")


def of(container: str) -> Groups:
    """Return a container's control groups; raises Refused where this node has none."""
    root = cgroups.ROOT
    if not root.is_dir():
        raise Refused(f"there are no control groups at {root}")
    return Groups(root, container)


def stay_outside() -> None:
    """Enter the node's view of control groups: from within one's own, none outside of it takes a process in.

    Nor does a process there see in which pod it is itself.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        handle = os.open(pods.PROC / "1/ns/cgroup", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return  # a kernel without such views
    try:
        if os.path.samestat(os.fstat(handle), _OWN_VIEW.stat()):
            return
        if libc.setns(handle, _CLONE_NEWCGROUP) != 0:
            raise Refused("the node's control groups cannot be reached", os.strerror(ctypes.get_errno()))
    finally:
        os.close(handle)


@functools.cache
def _found(top: Path, container: str) -> Path | None:
    return cgroups.of_container(top, container)


def number(file: Path) -> int:
    """Read a file of one number."""
    return int(file.read_text())


def limit(file: Path) -> int | None:
    """Read a limit; None where there is none."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    found = None if text == "max" else int(text)
    return None if found is None or found < 0 or found > _UNLIMITED else found


def table(file: Path) -> dict[str, int]:
    """Read a file of names with a number each."""
    return {line.split()[0]: int(line.split()[1]) for line in file.read_text().splitlines()}
