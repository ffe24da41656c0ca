"""Take up what a container or its pod may have of processes, so that nothing more can be started there."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import groups, memory_group
from harness.agent.resident.resources.container import Container
from harness.agent.resident.resources.effect import Effect, Facts
from harness.agent.resident.resources.groups import Groups
from harness.agent.resident.resources.order import Order

# A limit above this was made for a node (systemd's is 15 % of all that there may be), not for a pod.
MOST = 4096
PAUSE_SECONDS = 0.05


def make(order: Order, container: Container) -> Effect:
    """Start as many as make `share` of the lowest limit among the container and what it is in; raises Refused without.

    Threads count as processes do; they are one process's, and go with it.
    """
    order.only("share")
    share, found = order.number("share", 0.1, 1), lowest(container.groups)
    if found is None:
        raise Refused(
            f"neither the container nor its pod has a pids limit of at most {MOST}",
            "the kubelet's podPidsLimit sets it",
        )
    folder, limit = found
    wanted, there = int(share * limit), groups.number(folder / "pids.current")
    if there >= wanted:
        raise Refused("so many processes are there already", f"{there} of {limit}")
    memory_group.fit(container.groups, (wanted - there) * own_bytes(mmap.PAGESIZE))

    def told() -> Facts:
        there = groups.number(folder / "pids.current")
        return {"there": there, "limit": limit, "did": {"there": there} if there >= wanted else {}}

    return Effect([lambda: crowd(folder, wanted)], ("pids", "memory"), told)


def lowest(found: Groups) -> tuple[Path, int] | None:
    """Return the lowest limit that holds a container, and where it stands; None without one that is meant for pods."""
    folder, pod = found.folder("pids"), found.pod("pids")
    limits = [(limit, one) for one in (folder, pod) if (limit := groups.limit(one / "pids.max")) is not None]
    limit, place = min(limits, default=(MOST + 1, folder))
    return None if limit > MOST else (place, limit)


def stack_bytes(least: int) -> int:
    """Return how much stack a thread gets: little, but as much as this machine asks for; arm64 wants 128 KiB."""
    return max(64 << 10, least)


def own_bytes(page: int) -> int:
    """Return what a thread takes of memory, its stacks above all, rounded up: 43 kB were measured with pages of 4."""
    return (36 << 10) + 3 * page


def crowd(folder: Path, wanted: int) -> None:
    """Start threads until so many processes are there, and again when others end; for ever."""
    threading.stack_size(stack_bytes(os.sysconf("SC_THREAD_STACK_MIN")))
    never = threading.Event()
    while True:
        try:
            while groups.number(folder / "pids.current") < wanted:
                threading.Thread(target=never.wait, daemon=True).start()
        except RuntimeError:
            pass  # the kernel starts no more: that is the limit
        never.wait(PAUSE_SECONDS)
