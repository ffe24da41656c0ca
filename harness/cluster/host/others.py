"""Who else uses this machine: a look over all processes, told by name alone; arguments are nobody's business here."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from harness.cluster.host import procfs
from harness.cluster.host.procfs import Process

PROC = Path("/proc")
DAEMON, RUNTIME, SHIM = "dockerd", "containerd", "containerd-shim"
# A name of one process has 15 characters at most, a stat file of one much less than this.
MOST_BYTES = 65_536

Table = Mapping[int, Process]


def text(path: str | Path) -> str:
    """Read a file that the kernel makes up in one piece; what is not there or may not be read is empty."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(file, MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(file)


def process(pid: int) -> Process | None:
    """Look at one process; None when it is gone."""
    return procfs.process(text(f"/proc/{pid}/stat"))


def family(pid: int) -> list[Process]:
    """Look at a process and all that came from it; where the kernel lists no children, at it alone."""
    found = process(pid)
    if found is None:
        return []
    children = text(f"/proc/{pid}/task/{pid}/children").split()
    return [found, *(member for child in children for member in family(int(child)))]


def serving(table: Table, daemon: int | None) -> set[int]:
    """Pick the processes through which a Docker daemon serves: itself, its proxies, its runtime, its shims.

    Its number is not known where systemd listens for it: then every daemon on the machine counts.
    """
    daemons = (
        {daemon}
        if daemon is not None and daemon in table
        else {one.pid for one in table.values() if one.name == DAEMON}
    )
    found = daemons | {one.pid for one in table.values() if one.parent in daemons}
    if not any(table[pid].name == RUNTIME for pid in found):
        found |= {one.pid for one in table.values() if one.name == RUNTIME}
    return found | {one.pid for one in table.values() if one.name.startswith(SHIM)}


def used(before: Table, after: Table) -> dict[int, float]:
    """Return the CPU seconds of each process between two looks, those of children that came and went included.

    What a child had used before the first look was told then: it is taken off from whoever waited for it.
    """
    spent = {pid: one.total - (before[pid].total if _same(before.get(pid), one) else 0.0) for pid, one in after.items()}
    for pid, gone in before.items():
        if _same(gone, after.get(pid)):
            continue
        heir = gone.parent
        while heir in before and not _same(before[heir], after.get(heir)):
            heir = before[heir].parent
        if heir in spent:
            spent[heir] -= gone.total
    return spent


def _same(one: Process | None, other: Process | None) -> bool:
    return one is not None and other is not None and one.started == other.started


def by_name(spent: Mapping[int, float], table: Table) -> dict[str, float]:
    """Add up what processes of one name used, the most first."""
    found: dict[str, float] = {}
    for pid, seconds in spent.items():
        found[table[pid].name] = found.get(table[pid].name, 0.0) + max(0.0, seconds)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


class Crowd:
    """All processes of the machine that are not inside of some containers, as the last look found them."""

    def __init__(self, containers: Iterable[str] = ()) -> None:
        self._containers = tuple(containers)
        # A process stays where it is, or moves below: looked up once, for its number and its time of birth.
        self._inside: dict[tuple[int, int], bool] = {}
        self.table: Table = {}

    def look(self, ours: Collection[int] = ()) -> dict[str, float]:
        """Return the CPU seconds by name since the last look, without the processes that are `ours`."""
        before, self.table = self.table, self._outside()
        spent = used(before, self.table) if before else {}
        return by_name({pid: seconds for pid, seconds in spent.items() if pid not in ours}, self.table)

    def _outside(self) -> Table:
        found, known = {}, self._inside
        self._inside = {}
        for entry in PROC.iterdir():
            one = process(int(entry.name)) if entry.name.isdecimal() else None
            if one is None:
                continue
            identity = (one.pid, one.started)
            inside = known.get(identity)
            self._inside[identity] = self._is_inside(one.pid) if inside is None else inside
            if not self._inside[identity]:
                found[one.pid] = one
        return found

    def _is_inside(self, pid: int) -> bool:
        group = text(f"/proc/{pid}/cgroup") if self._containers else ""
        return any(container in group for container in self._containers)
