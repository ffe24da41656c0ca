"""What the kernel has counted of a machine's CPU, and what two looks at it say of the time between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.cluster.host.procfs import Cpu


@dataclass(frozen=True, slots=True)
class Counters:
    """What was used since the machine started, in seconds over all of its CPUs; None was not seen.

    `at` is on the clock that stands still in a suspend, `awake` on the one that does not, `wall` the time of day;
    `cluster` is by container, and one that is stopped has no counter; `serving` is by process: who serves the cluster
    comes to be known, and may have been there for long.
    """

    at: float
    awake: float
    wall: float
    cpu: Cpu | None
    pressure: Mapping[str, float | None]
    cluster: Mapping[str, float]
    harness: float
    serving: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of the whole machine's CPU over a stretch of time, each 0..1; None was not seen.

    `pressure` is the share of the time in which some task waited, by resource.
    """

    seconds: float
    idle: float | None = None
    others: float | None = None
    steal: float | None = None
    cluster: float | None = None
    harness: float | None = None
    pressure: Mapping[str, float | None] = field(default_factory=dict)


def between(before: Counters, after: Counters) -> Shares:
    """Compare two looks.

    The others have what is neither idle, taken by the host, spent on interrupts, nor the cluster's or ours: the kernel
    measures all these, while it only samples who was busy. A container that stopped took its last counter with it, so
    nobody knows of that stretch who had what.
    """
    elapsed = after.at - before.at
    if elapsed <= 0:
        return Shares(0.0)
    pressure = {
        name: _part(value, before.pressure.get(name), elapsed) if value is not None else None
        for name, value in after.pressure.items()
    }
    if before.cpu is None or after.cpu is None or not after.cpu.cpus:
        return Shares(elapsed, pressure=pressure)
    whole = elapsed * after.cpu.cpus
    idle, steal = _part(after.cpu.idle, before.cpu.idle, whole), _part(after.cpu.steal, before.cpu.steal, whole)
    interrupts = _part(after.cpu.interrupts, before.cpu.interrupts, whole) or 0.0
    served = sum(max(0.0, used - before.serving.get(pid, used)) for pid, used in after.serving.items())
    harness = _part(after.harness + served, before.harness, whole)
    # A container that was started again counts from nothing.
    grown = [
        used - begun if (begun := before.cluster.get(name, 0.0)) <= used else used
        for name, used in after.cluster.items()
    ]
    cluster = min(1.0, sum(grown) / whole) if before.cluster.keys() <= after.cluster.keys() else None
    others = None
    if cluster is not None and None not in (idle, steal, harness):
        others = min(1.0, max(0.0, 1.0 - interrupts - cluster - sum(filter(None, (idle, steal, harness)))))
    return Shares(elapsed, idle, others, steal, cluster, harness, pressure)


def _part(after: float, before: float | None, whole: float) -> float | None:
    return None if before is None else min(1.0, max(0.0, (after - before) / whole))


def drift(before: Counters, after: Counters) -> dict[str, float]:
    """Return the seconds by which clocks went apart: the machine slept, or somebody set the time of day."""
    slept = (after.awake - before.awake) - (after.at - before.at)
    return {"suspended": slept, "set": (after.wall - before.wall) - (after.awake - before.awake)}
