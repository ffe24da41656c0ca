"""Take memory inside of a container's limit: up to a share of it, or so far that the kernel ends what runs there."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.agent.resident import pods
from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import groups
from harness.agent.resident.resources.container import Container
from harness.agent.resident.resources.effect import Effect, Facts
from harness.agent.resident.resources.groups import Groups
from harness.agent.resident.resources.order import Order

MOST_SHARE = 0.95
CHUNK_BYTES = 4 << 20
PAUSE_SECONDS = 0.05
# What a node keeps, however large a container's limit is: twice what kubelets begin to evict at.
SPARED_BYTES, SPARED_SHARE = 256 << 20, 0.05
# The resident size of the process that fills, `dd`, rounded up.
OWN_BYTES = 4 << 20
UNKILLABLE = -1000
_PAGE = mmap.PAGESIZE


@dataclass(frozen=True, slots=True)
class Memory:
    """What a container's group says of its memory."""

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


def stress(order: Order, container: Container) -> Effect:
    """Hold as much as makes the container's memory `share` of its limit, whatever the container does meanwhile."""
    order.only("share")
    found, share = limited(container.groups), order.number("share", 0.01, MOST_SHARE)
    wanted = int(share * found.limit)
    _room(wanted - found.used())
    near, before = wanted - _slack(found), found.kills()

    def told() -> Facts:
        used = found.used()
        facts: Facts = {"used_bytes": used, "limit_bytes": found.limit, "oom_kills": found.kills() - before}
        return {**facts, "did": {"filled": round(used / found.limit, 3)} if used >= near else {}}

    return Effect([lambda: hold(found, wanted)], ("memory",), told)


def exhaust(order: Order, container: Container) -> Effect:
    """Fill the container's memory until the kernel ends something there that is not of the fault.

    What fills is in no process's size: pages of a file without a name, which go with the one process that holds it. So
    the kernel, which ends the largest, finds the container's. Raises Refused where it would not.
    """
    order.only()
    found = limited(container.groups)
    _room(found.limit - found.used())
    if not found.together():
        _chosen(container, found.limit)
    before = found.kills()

    def told() -> Facts:
        kills = found.kills() - before
        return {"limit_bytes": found.limit, "oom_kills": kills, "did": {"oom_kills": kills} if kills else {}}

    return Effect([fill], ("memory",), told)


def limited(found: Groups) -> Memory:
    """Return a container's memory; raises Refused where it has no limit."""
    folder = found.folder("memory")
    limit = groups.limit(folder / ("memory.limit_in_bytes" if found.first else "memory.max"))
    if limit is None:
        raise Refused("the container has no memory limit", "the node would be taken, not the container")
    return Memory(folder, found.first, limit)


def require_room(found: Groups, wanted: int) -> None:
    """Refuse to take so much that a container comes near its limit, or its node to its end."""
    limit = groups.limit(found.folder("memory") / ("memory.limit_in_bytes" if found.first else "memory.max"))
    if limit is not None and limited(found).used() + wanted > MOST_SHARE * limit:
        raise Refused("the container's memory limit is too low for it", "the kernel would end the container")
    _room(wanted)


def hold(found: Memory, wanted: int, pause: Callable[[float], None] = time.sleep) -> None:
    """Take memory up to what is wanted, and give it back where the container takes more itself; for ever."""
    held: list[mmap.mmap] = []
    while True:
        lacks = wanted - found.used()
        if lacks >= _PAGE:
            held.append(_taken(min(lacks, CHUNK_BYTES)))
        elif held and -lacks > _slack(found):
            held.pop().close()
        else:
            pause(PAUSE_SECONDS)


def fill() -> None:
    """Become a small program that writes into a file in memory without an end."""
    os.dup2(os.memfd_create("fill"), 1)
    os.execvp("dd", ["dd", "if=/dev/zero", "bs=64k", "status=none"])  # noqa: S606


def _taken(size: int) -> mmap.mmap:
    made = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, size, _PAGE):
        made[at] = 1
    return made


def _slack(found: Memory) -> int:
    return max(found.limit // 50, 4 * _PAGE)


def _room(wanted: int) -> None:
    """Refuse to take from a node what it has not: there the kernel would end anybody's process."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    kilobytes = {words[0].rstrip(":"): int(words[1]) for words in lines}
    spared = max(SPARED_BYTES, int(SPARED_SHARE * 1024 * kilobytes["MemTotal"]))
    free = 1024 * kilobytes["MemAvailable"]
    if wanted > free - spared:
        raise Refused("the node has not enough memory", f"{wanted} bytes are wanted, {free} are free")


def _chosen(container: Container, limit: int) -> None:
    """Refuse where the kernel would choose the fault's own process: it takes the largest size plus adjustment."""
    own = OWN_BYTES + _adjustment("self") * limit // 1000
    theirs = [size for pid in container.processes() if (size := _badness(pid, limit)) is not None]
    if max(theirs, default=own) <= own:
        raise Refused("the kernel would end the fault's own process", "those of the container are no larger")


def _badness(pid: int, limit: int) -> int | None:
    try:
        pages = int((pods.PROC / str(pid) / "statm").read_text().split()[1])
        adjustment = _adjustment(str(pid))
    except OSError:
        return None
    return None if adjustment == UNKILLABLE else pages * _PAGE + adjustment * limit // 1000


def _adjustment(pid: str) -> int:
    place = Path("/proc/self") if pid == "self" else pods.PROC / pid
    return groups.number(place / "oom_score_adj")
