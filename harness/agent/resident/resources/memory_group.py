"""What control groups say of memory, and how much of it may be taken before somebody else lacks it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.agent.resident.processes import cgroups
from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import groups
from harness.agent.resident.resources.groups import Groups

MOST_SHARE = 0.95
# What a node, and all of its pods together, keep: twice what kubelets begin to evict at.
SPARED_BYTES, SPARED_SHARE = 256 << 20, 0.05
MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Memory:
    """What one group says of its memory."""

    folder: Path
    first: bool
    limit: int

    def used(self) -> int:
        """Return what counts as used: what could be read again from files is none of it."""
        name = "memory.usage_in_bytes" if self.first else "memory.current"
        idle = groups.table(self.folder / "memory.stat")["total_inactive_file" if self.first else "inactive_file"]
        return groups.number(self.folder / name) - idle

    def kills(self) -> int:
        """Return how many processes the kernel ended here for lack of memory."""
        return groups.table(self.folder / ("memory.oom_control" if self.first else "memory.events")).get("oom_kill", 0)

    def together(self) -> bool:
        """Say whether the kernel ends all of the group at once."""
        file = self.folder / "memory.oom.group"
        return file.exists() and file.read_text().strip() == "1"


def of(found: Groups) -> Memory | None:
    """Return a container's memory; None where it has no limit."""
    return _of(found.folder("memory"), found.first)


def of_pod(found: Groups) -> Memory | None:
    """Return the memory of a container's pod; None where it has no limit."""
    return _of(found.pod("memory"), found.first)


def limited(found: Groups) -> Memory:
    """Return a container's memory; raises Refused where it has no limit."""
    memory = of(found)
    if memory is None:
        raise Refused("the container has no memory limit", "the node would be taken, not the container")
    return memory


def fit(found: Groups, wanted: int) -> None:
    """Refuse to take so much that a container comes near its own limit."""
    memory = of(found)
    if memory and memory.used() + wanted > MOST_SHARE * memory.limit:
        raise Refused("the container's memory limit is too low for it", "the kernel would end the container")


def require(found: Groups, wanted: int) -> None:
    """Refuse to take what a node, or all of its pods together, have not: the kernel would end anybody's process."""
    for who, free, spared in _left(found):
        if wanted > free - spared:
            raise Refused(f"{who} not enough memory", f"{wanted} bytes are wanted, {free} are free")


def short(found: Groups) -> str:
    """Say that half of what is to be spared is gone; nothing while it is there."""
    return next((f"{who} almost no memory left" for who, free, spared in _left(found) if free < spared // 2), "")


def _left(found: Groups) -> Iterator[tuple[str, int, int]]:
    """Go through what holds others, too: what each has free, and what it is to keep of that."""
    lines = (line.split() for line in MEMINFO.read_text().splitlines())
    kilobytes = {words[0].rstrip(":"): int(words[1]) for words in lines}
    yield "the node has", 1024 * kilobytes["MemAvailable"], _spared(1024 * kilobytes["MemTotal"])
    top = cgroups.tree(found.root, "memory") or found.root
    # The pod's own group holds nobody else; those above it hold all pods, or all of a class.
    for folder in found.pod("memory").parents:
        if folder.is_relative_to(top) and (memory := _of(folder, found.first)):
            yield "the node's pods have together", memory.limit - memory.used(), _spared(memory.limit)


def _spared(whole: int) -> int:
    return max(SPARED_BYTES, int(SPARED_SHARE * whole))


def _of(folder: Path, first: bool) -> Memory | None:
    limit = groups.limit(folder / ("memory.limit_in_bytes" if first else "memory.max"))
    return None if limit is None else Memory(folder, first, limit)
