"""Take memory inside of a container's limit: up to a share of it, or so far that the kernel ends what runs there."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from harness.agent.resident.processes import pods
from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import groups, memory_group
from harness.agent.resident.resources.container import Container
from harness.agent.resident.resources.effect import Effect, Facts
from harness.agent.resident.resources.memory_group import Memory
from harness.agent.resident.resources.order import Order

CHUNK_BYTES = 4 << 20
PAUSE_SECONDS = 0.05
# The resident size of the process that fills, `dd`, rounded up.
OWN_BYTES = 4 << 20
UNKILLABLE = -1000
_PAGE = mmap.PAGESIZE


def stress(order: Order, container: Container) -> Effect:
    """Hold as much as makes the container's memory `share` of its limit, whatever the container does meanwhile.

    Raises Refused where it uses so much by itself.
    """
    order.only("share")
    found = memory_group.limited(container.groups)
    share = order.number("share", 0.01, memory_group.MOST_SHARE)
    wanted, used, before = int(share * found.limit), found.used(), found.kills()
    near = wanted - _slack(found)
    if used >= near:
        raise Refused("the container uses so much memory already", f"{used} of {found.limit} bytes")
    memory_group.require(container.groups, wanted - used)

    def told() -> Facts:
        used = found.used()
        facts: Facts = {"used_bytes": used, "limit_bytes": found.limit, "oom_kills": found.kills() - before}
        return {**facts, "did": {"filled": round(used / found.limit, 3)} if used >= near else {}}

    ends = partial(memory_group.short, container.groups)
    return Effect([lambda: hold(found, wanted)], ("memory",), told, ends)


def exhaust(order: Order, container: Container) -> Effect:
    """Fill the container's memory until the kernel ends something there that is not of the fault.

    What fills is in no process's size: pages of a file without a name, which go with the one process that holds it. So
    the kernel, which ends the largest, finds the container's. Raises Refused where it would not.
    """
    order.only()
    found = memory_group.limited(container.groups)
    memory_group.require(container.groups, found.limit - found.used())
    _chosen(container, found)
    before = found.kills()

    def told() -> Facts:
        kills = found.kills() - before
        return {"limit_bytes": found.limit, "oom_kills": kills, "did": {"oom_kills": kills} if kills else {}}

    return Effect([fill], ("memory",), told, partial(memory_group.short, container.groups), spared=True)


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


def _chosen(container: Container, found: Memory) -> None:
    """Refuse where the kernel would choose another process: it takes the largest size plus adjustment.

    It chooses among all of the pod where the pod's limit is met before the container's: what its pause process, its
    other containers and its volumes in memory take counts there.
    """
    theirs = _largest(container.processes(), found.limit)
    own = OWN_BYTES + _adjustment("self") * found.limit // 1000
    if not found.together() and (theirs is None or theirs <= own):
        raise Refused("the kernel would end the fault's own process", "those of the container are no larger")
    pod = memory_group.of_pod(container.groups)
    if pod is None or pod.limit - (pod.used() - found.used()) >= found.limit:
        return
    theirs = _largest(container.processes(), pod.limit)
    others = _largest(container.neighbours(), pod.limit)
    if others is not None and (theirs is None or theirs <= others):
        raise Refused("the kernel would end another container's process", "the pod's limit is met before this one's")


def _largest(pids: Iterable[int], limit: int) -> int | None:
    return max((size for pid in pids if (size := _badness(pid, limit)) is not None), default=None)


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
