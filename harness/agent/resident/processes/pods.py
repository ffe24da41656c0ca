"""Find what belongs to a pod on this node by the pod's UID in the cgroup path, never by name.

What is opened is looked at again afterwards: a process id may have gone to somebody else in between.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from harness.agent.resident.processes import cgroups
from harness.agent.resident.refused import Refused

_LAST_WORDS = re.compile(r"/pods/[0-9a-f-]{8,64}/containers/([^/]+)/[0-9a-f]+$")
PROC = Path(os.environ.get("AGENT_PROC", "/proc"))  # a folder of some processes' folders will do


def processes(uid: str) -> Iterator[int]:
    """Go through a pod's processes; raises Refused for what is no UID."""
    yield from _matching(cgroups.pod_in_path(uid))


def open_network(uid: str) -> int:
    """Open a pod's network namespace and return the handle.

    Raises Refused when the pod has no process here, or has no network of its own: a fault of the node's is another one.
    """
    path = cgroups.pod_in_path(uid)
    # The oldest holds the pod's own; what runs in it may have made more for itself.
    for pid in sorted(_matching(path), key=lambda pid: (_parent_and_birth(pid) or (0, 0))[1]):
        try:
            handle = os.open(PROC / str(pid) / "ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        if not path.search(paths(pid)):
            os.close(handle)
            continue
        if os.path.samestat(os.fstat(handle), (PROC / "1/ns/net").stat()):
            os.close(handle)
            raise Refused("the pod uses its node's network", "break the node's network instead")
        return handle
    raise Refused("the pod has no process on this node", f"UID {uid}")


def main_process(container: str) -> int:
    """Return a container's main process: the oldest of those whose parent is outside of it; raises Refused without one.

    So is the parent of what an exec starts, but nothing can be started in a container before its main process.
    Process id 1 may be another's, where the pod's containers or the node share their process ids.
    """
    found = {pid: _parent_and_birth(pid) for pid in inside(container)}
    born = [(stat[1], pid) for pid, stat in found.items() if stat is not None and stat[0] not in found]
    if not born:
        raise Refused("the container has no process on this node", container[:12])
    return min(born)[1]


def hold(pod: str, container: str) -> tuple[int, int]:
    """Return the main process of a pod's container, and a handle that becomes readable when it ends.

    Raises Refused where the container does not run, is another pod's, or where the pod is the agent's own.
    """
    if os.getpid() in processes(pod):
        raise Refused("the agent is no target of its own", "nobody would undo it")
    pid = main_process(container)
    try:
        handle = os.pidfd_open(pid)
    except OSError as error:
        raise Refused("the container has ended", os.strerror(error.errno or 0)) from None
    # A process id may have gone to somebody else before it was held.
    if pid not in processes(pod) or pid != main_process(container):
        os.close(handle)
        raise Refused("the container is not of the pod", pod)
    return pid, handle


def inside(container: str) -> Iterator[int]:
    """Go through a container's processes; raises Refused for what is no id."""
    yield from _matching(cgroups.container_in_path(container))


def named(uid: str, name: str) -> str:
    """Return the id of a pod's container of this name, empty while it does not run; raises Refused for no UID."""
    inner = cgroups.containers_in_path(uid)
    ids = (inner.search(paths(pid)) for pid in processes(uid) if name_of(pid) == name)
    return next((found[1] for found in ids if found), "")


def name_of(pid: int) -> str:
    """Return the name of the container that a process is in; empty where its kubelet has told it nowhere.

    A kubelet gives each container a file for its last words, in a folder of that name.
    """
    try:
        lines = _read(pid, "mountinfo").splitlines()
    except OSError:
        return ""
    return next((found[1] for line in lines if (found := _LAST_WORDS.search(line.split()[3]))), "")


def birth(pid: int) -> int | None:
    """Return when a process was born, in ticks since the machine's start; None for one that is gone."""
    found = _parent_and_birth(pid)
    return found[1] if found else None


def age(pid: int) -> float:
    """Return for how many seconds a process has been there; 0 for one that is gone."""
    born = birth(pid)
    ticks = os.sysconf("SC_CLK_TCK")
    return 0.0 if born is None else time.clock_gettime(time.CLOCK_BOOTTIME) - born / ticks


def status(pid: int) -> dict[str, str]:
    """Return what the kernel says of a process; nothing of one that is gone."""
    try:
        lines = _read(pid, "status").splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def networks() -> Iterator[int]:
    """Open every network namespace of this node but its own, each once."""
    seen = {(PROC / "1/ns/net").stat().st_ino}
    for pid in _pids():
        try:
            handle = os.open(PROC / str(pid) / "ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        inode = os.fstat(handle).st_ino
        if inode in seen:
            os.close(handle)
            continue
        seen.add(inode)
        yield handle


def _matching(path: re.Pattern[str]) -> Iterator[int]:
    return (pid for pid in _pids() if path.search(paths(pid)))


def _pids() -> list[int]:
    return sorted(int(path.name) for path in PROC.iterdir() if path.name.isdigit())


def paths(pid: int) -> str:
    """Return the paths of a process's control groups, a line for each tree; nothing of one that is gone."""
    try:
        return _read(pid, "cgroup")
    except OSError:
        return ""


def _parent_and_birth(pid: int) -> tuple[int, int] | None:
    try:
        # What stands before the last bracket is the program's name, and may hold anything.
        fields = _read(pid, "stat").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[19])


def _read(pid: int, name: str) -> str:
    # A name may be in any writing, and the kernel cuts it off within a letter.
    return (PROC / str(pid) / name).read_text(errors="replace")
