"""Read the text of Linux' own accounts of CPU time; nothing here opens a file.

The formats are those of proc(5), cgroups(7) and Documentation/accounting/psi.rst. What a text does not hold is None.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePosixPath

TICK = 1 / os.sysconf("SC_CLK_TCK")
# Columns: user nice system idle iowait irq softirq steal. Who was busy is only sampled, the others are measured.
IDLE, INTERRUPTS, STEAL = (3, 4), (5, 6), 7


@dataclass(frozen=True, slots=True)
class Cpu:
    """The machine's CPU time since it started, in seconds over all of its CPUs."""

    cpus: int
    idle: float
    interrupts: float
    steal: float


@dataclass(frozen=True, slots=True)
class Process:
    """One process: `seconds` is the CPU time of its own threads, `reaped` that of the children it has waited for."""

    pid: int
    name: str
    parent: int
    seconds: float
    reaped: float
    started: int

    @property
    def total(self) -> float:
        """Return what it and its ended children used: never less than before, whatever ends below it."""
        return self.seconds + self.reaped


def cpu(stat: str) -> Cpu | None:
    """Read /proc/stat."""
    lines = [line.split() for line in stat.splitlines() if line.startswith("cpu")]
    try:
        ticks = [int(word) for word in next(line for line in lines if line[0] == "cpu")[1:9]]
        idle, interrupts = (sum(ticks[place] for place in places) * TICK for places in (IDLE, INTERRUPTS))
        return Cpu(sum(line[0] != "cpu" for line in lines), idle, interrupts, ticks[STEAL] * TICK)
    except (StopIteration, IndexError, ValueError):
        return None


def pressure(text: str) -> float | None:
    """Read a file of /proc/pressure: seconds in which at least one task waited."""
    some = next((line.split() for line in text.splitlines() if line.startswith("some ")), [])
    total = next((word.partition("=")[2] for word in some if word.startswith("total=")), "")
    return int(total) / 1e6 if total.isdecimal() else None


def process(stat: str) -> Process | None:
    """Read /proc/<pid>/stat; a name may hold anything, brackets and line ends too."""
    head, _, tail = stat.rpartition(")")
    pid, _, name = head.partition("(")
    words = tail.split()
    try:
        used, reaped = ((int(words[place]) + int(words[place + 1])) * TICK for place in (11, 13))
        return Process(int(pid), _plain(name), int(words[1]), used, reaped, int(words[19]))
    except (IndexError, ValueError):
        return None


def _plain(name: str) -> str:
    """Make a name fit for a terminal, and all threads of one kernel service one."""
    # kworker/u8:2-ext4 and jbd2/vda-8: what stands behind the stroke says which of many.
    kind = name.partition("/")[0] or name
    return "".join(letter if letter.isprintable() else "?" for letter in kind)


def account(cgroup: str, mountinfo: str, container: str) -> PurePosixPath | None:
    """Find the file that accounts for a container's CPU time, all groups below it included.

    `cgroup` is /proc/<pid>/cgroup of a process in it, `mountinfo` our own /proc/self/mountinfo. None when that process
    is not in the container (it is on another machine, or has another number there), or its group is not mounted here.
    """
    groups = _groups(cgroup)
    # Where both hierarchies are mounted, the new one may have no account of a container that is in both.
    for controller, file in (("cpuacct", "cpuacct.usage"), ("", "cpu.stat")):
        group = _down_to(groups.get(controller, ""), container)
        mount = _mount(mountinfo, controller, group) if group else None
        if mount:
            return mount / file
    return None


def seconds(usage: str) -> float | None:
    """Read cpuacct.usage (nanoseconds, alone) or cpu.stat (microseconds, by name)."""
    if usage.strip().isdecimal():
        return int(usage) / 1e9
    found = next((line.split() for line in usage.splitlines() if line.startswith("usage_usec ")), [])
    return int(found[1]) / 1e6 if len(found) == 2 and found[1].isdecimal() else None


def _groups(cgroup: str) -> dict[str, str]:
    """Return the path in each hierarchy by controller; the new hierarchy has none."""
    lines = [line.split(":", 2) for line in cgroup.splitlines() if line.count(":") >= 2]
    return {controller: path for _, controllers, path in lines for controller in controllers.split(",")}


def _down_to(path: str, container: str) -> PurePosixPath | None:
    """Cut a path behind the container's own group: systemd in it sits in a group of its own below."""
    parts = PurePosixPath(path).parts
    depth = next((number for number, part in enumerate(parts, 1) if container in part), 0)
    return PurePosixPath(*parts[:depth]) if depth else None


def _mount(mountinfo: str, controller: str, group: PurePosixPath) -> PurePosixPath | None:
    """Find where a group is seen in the file system."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        place, kind = before.split(), after.split()
        if len(place) < 5 or len(kind) < 3:
            continue
        right = kind[0] == "cgroup" and controller in kind[2].split(",") if controller else kind[0] == "cgroup2"
        if right and group.is_relative_to(place[3]):
            return PurePosixPath(place[4]) / group.relative_to(place[3])
    return None
