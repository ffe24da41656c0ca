"""Burn CPU, so that the container's limit throttles whatever runs in it."""

from __future__ import annotations

import math
import os
import time

from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import groups, memory_group
from harness.agent.resident.resources.container import Container
from harness.agent.resident.resources.effect import Effect, Facts
from harness.agent.resident.resources.groups import Groups
from harness.agent.resident.resources.order import Order

MOST = 64
# What each process takes of memory beside the worker, rounded up; version 2 counts it as the container's.
OWN_BYTES = 2 << 20
SLICE_SECONDS = 0.02
FELT_PERIODS = 3


def make(order: Order, container: Container) -> Effect:
    """Burn with `workers` processes, each `load` of its time; one more than the limit has cores where it is left out.

    Raises Refused where the container has no limit, or one that the node's CPUs cannot reach: the node would be taken.
    """
    order.only("workers", "load")
    found, cores = limit(container.groups), os.cpu_count() or 1
    if found is None:
        raise Refused("the container has no CPU limit", "nothing would hold the load back from the node")
    if found >= cores:
        raise Refused(f"the container may use {found:g} CPUs of {cores}", "the node would be taken, not the container")
    load = order.number("load", 0.01, 1, 1)
    workers = int(order.number("workers", 1, MOST, min(MOST, math.ceil(found) + 1)))
    if not container.groups.first:
        memory_group.fit(container.groups, workers * OWN_BYTES)
    before = counters(container.groups)

    def told() -> Facts:
        now = counters(container.groups)
        facts: Facts = {name: now[name] - before[name] for name in now}
        felt = {"throttled": facts["throttled"]} if facts["throttled"] >= FELT_PERIODS else {}
        return {**facts, "limit_cores": found, "workers": workers, "did": felt}

    return Effect([lambda: burn(load)] * workers, ("cpu",), told)


def burn(load: float) -> None:
    """Burn for ever, `load` of the time."""
    while True:
        until = time.monotonic() + SLICE_SECONDS * load
        while time.monotonic() < until:
            pass
        if load < 1:
            time.sleep(SLICE_SECONDS * (1 - load))


def limit(found: Groups) -> float | None:
    """Return how many cores a container may use; None where it has no limit."""
    folder = found.folder("cpu")
    if found.first:
        quota = groups.limit(folder / "cpu.cfs_quota_us")
        return None if quota is None else quota / groups.number(folder / "cpu.cfs_period_us")
    words = (folder / "cpu.max").read_text().split()
    return None if words[0] == "max" else int(words[0]) / int(words[1])


def counters(found: Groups) -> dict[str, int]:
    """Return what the kernel counts: periods, those that were throttled, and milliseconds throttled and used."""
    said = groups.table(found.folder("cpu") / "cpu.stat")
    if found.first:
        throttled, used = said["throttled_time"] // 10**6, groups.number(found.folder("cpuacct") / "cpuacct.usage")
        used //= 10**6
    else:
        throttled, used = said["throttled_usec"] // 1000, said["usage_usec"] // 1000
    counts = {"periods": said["nr_periods"], "throttled": said["nr_throttled"]}
    return {**counts, "throttled_ms": throttled, "used_ms": used}
