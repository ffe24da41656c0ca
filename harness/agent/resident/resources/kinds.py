"""The effects on resources by name."""

from __future__ import annotations

from collections.abc import Callable

from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import cpu, disk, disk_io, memory, pids
from harness.agent.resident.resources.container import Container
from harness.agent.resident.resources.effect import Effect
from harness.agent.resident.resources.order import Order

KINDS: dict[str, Callable[[Order, Container], Effect]] = {
    "cpu": cpu.make,
    "memory": memory.stress,
    "oom": memory.exhaust,
    "disk": disk.make,
    "io": disk_io.make,
    "pids": pids.make,
}


def make(order: Order, container: Container) -> Effect:
    """Make the effect that a worker was told; raises Refused."""
    kind = order.effect.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Refused(f"no effect {kind!r}", ", ".join(sorted(KINDS)))
    return KINDS[kind](order, container)
