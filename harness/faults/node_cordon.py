"""Mark one node unschedulable; one that is already is refused.

Felt when the node carries the taint that keeps pods away (below a second), healed when it is gone.
"""

from __future__ import annotations

from harness.faults.kind import FaultKind
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.targets import nodes
from harness.targets.reach import Facts, Reach


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Cordon the node."""
    await nodes.cordon(fault, reach)
    return {"node": fault.victim.name}


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait for the taint."""
    return await nodes.cordoned(fault, reach, want=True)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until pods may come again."""
    return await nodes.cordoned(fault, reach, want=False)


FAULT = FaultKind(
    name="node_cordon",
    hand=Hand.API,
    target="node",
    summary="Mark nodes unschedulable; running pods stay, replacements must go elsewhere.",
    evidence="the node is unschedulable",
    healed_when="the node is schedulable again",
    disturbs=frozenset({Disturbance.CAPACITY}),
    rights=({"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]},),
    undo=nodes.uncordon,
    inject=inject,
    felt=felt,
    heal=nodes.ask_uncordon,
    healed=healed,
)
