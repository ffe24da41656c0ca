"""A zone as faults see it: all nodes that bear its label, as one target."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from harness.cluster import paths
from harness.errors import InjectionFailed, first
from harness.model.plan import PlannedFault, Victim
from harness.targets import nodes
from harness.targets.kind import Object
from harness.targets.reach import Facts, Reach
from harness.workloads import Owners

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

LABEL = "topology.kubernetes.io/zone"


def of(node: Object) -> str:
    """Name the zone of a node; empty where it says none."""
    return str((node["metadata"].get("labels") or {}).get(LABEL, ""))


def holds_control_plane(zone: str, every: Iterable[Object]) -> bool:
    """Say whether a node of the control plane is in a zone."""
    return any(of(node) == zone and nodes.CONTROL_PLANE in node["metadata"]["labels"] for node in every)


def target(zone: str, every: Iterable[Object]) -> Victim:
    """Return a zone as a target: it is these very nodes."""
    identity = ",".join(sorted(node["metadata"]["uid"] for node in every if of(node) == zone))
    return Victim(kind="zone", name=zone, uid=identity, zone=zone)


async def parts(kube: Kube, victim: Victim, parameters: Object) -> Sequence[Victim]:
    """Name the nodes of a zone."""
    found = (node["metadata"] for node in await kube.list(paths.nodes()) if of(node) == victim.name)
    named = [Victim("node", one["name"], one["uid"], node=one["name"], zone=victim.name) for one in found]
    return sorted(named, key=str)


async def pods(kube: Kube, owners: Owners, victim: Victim) -> Sequence[Object]:
    """List the pods on the nodes of a zone."""
    return [pod for node in await parts(kube, victim, {}) for pod in await nodes.on(kube, node.name)]


def each(fault: PlannedFault) -> list[PlannedFault]:
    """Return the fault as it is for each node of its zone that the plan names."""
    return [replace(fault, victim=one) for one in fault.takes if one.kind == "node"]


async def together(fault: PlannedFault, ask: Callable[[PlannedFault], Awaitable[Facts]]) -> dict[str, Facts]:
    """Ask of each node at the same time, and return what is known of all, by name."""
    found: dict[str, Facts] = {}

    async def one(part: PlannedFault) -> None:
        found[part.victim.name] = await ask(part)

    try:
        async with anyio.create_task_group() as asking:
            for part in each(fault):
                asking.start_soon(one, part)
    except BaseExceptionGroup as group:
        raise first(group) from group
    return {name: found[name] for name in sorted(found)}


async def prepare(fault: PlannedFault, reach: Reach) -> None:
    """Read every node of the zone before anything is done to one, as for a fault of a node.

    Raises InjectionFailed where one is not as it should be, or the zone has others than the plan names.
    """
    planned = sorted(part.victim.uid for part in each(fault))
    if target(fault.victim.name, await reach.kube.list(paths.nodes())).uid != ",".join(planned):
        raise InjectionFailed(
            "the zone has other nodes than the plan names",
            where=str(fault.victim),
            why="one came, went or was replaced since",
            hint="run it again; a zone that is being scaled is no steady state",
        )
    await together(fault, lambda part: nodes.prepare_container(part, reach))
