"""Faults of the API hand that are undone in three ways, each by whoever has what was written.

By the run's own requests, by the keeper's kubectl, and by a process that has nothing but the Fault's resource.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from harness.cluster.kube import Kube
from harness.engine.undoing.undo import _one
from harness.faults import FAULTS
from harness.hands.healer import Nobody
from harness.model.plan import PlannedFault, Victim
from harness.resources import resource
from harness.targets.reach import Reach
from tests.e2e.victims import NAMESPACE, written

Undo = Callable[[Reach, PlannedFault], Awaitable[None]]


async def by_the_run(reach: Reach, fault: PlannedFault) -> None:
    await FAULTS[fault.kind].heal(fault, reach)


async def by_the_keeper(reach: Reach, fault: PlannedFault) -> None:
    await reach.by(fault).heal(fault.id)


async def by_the_resource(reach: Reach, fault: PlannedFault) -> None:
    item = await reach.kube.get(f"{resource.collection(fault)}/{resource.name(fault)}")
    failed: list[str] = []
    await _one(item, Reach(reach.kube, Nobody()), print, failed)
    assert failed == []


WAYS = (by_the_run, by_the_keeper, by_the_resource)


async def begun(reach: Reach, fault: PlannedFault) -> dict[str, Any]:
    """Take a fault as far as its evidence."""
    await written(reach, fault)
    with anyio.fail_after(90):
        await FAULTS[fault.kind].inject(fault, reach)
        evidence = await FAULTS[fault.kind].felt(fault, reach)
    assert evidence
    return evidence


async def over(reach: Reach, fault: PlannedFault, undo: Undo) -> dict[str, Any]:
    """Undo a fault twice, see it healed, and strike it off."""
    await undo(reach, fault)
    await by_the_run(reach, fault)
    with anyio.fail_after(120):
        found = await FAULTS[fault.kind].healed(fault, reach)
    await reach.by(fault).forget(fault.id)
    await resource.delete(reach.kube, fault)
    return found


async def of(kube: Kube, path: str, owner: str, kind: str = "workload", container: str = "") -> Victim:
    """Name an object as the plan does."""
    metadata = (await kube.get(path))["metadata"]
    return Victim(kind, metadata["name"], metadata["uid"], NAMESPACE, owner=owner, container=container, path=path)
