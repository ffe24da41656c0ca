"""Faults whose undo is read before the effect: taken as far as that, and undone by whoever has the resource alone."""

from __future__ import annotations

from typing import Any

from harness.faults import FAULTS
from harness.faults.kind import as_recorded
from harness.model.plan import PlannedFault
from harness.resources import resource
from harness.targets.reach import Reach


async def injected(server: Any, fault: PlannedFault) -> Reach:
    """Take a fault as far as its effect."""
    reach, kind = Reach(server), FAULTS[fault.kind]
    assert kind.prepare
    reach.note(fault)["undo"] = await kind.prepare(fault, reach)
    await kind.inject(fault, reach)
    return reach


async def elsewhere(server: Any, reach: Reach, fault: PlannedFault) -> list[str]:
    """Undo a fault in a process that has nothing but the resource; return what it left to somebody else."""
    item = resource.body(fault, "run", FAULTS[fault.kind].undo(fault, reach))
    other = Reach(server)
    other.note(fault)["undo"] = item["spec"]["undo"]
    await as_recorded(resource.planned(item), other)
    left: list[str] = other.note(fault)["left"]
    return left
