"""Pause one component of the control plane for some seconds: its process stops, and goes on where it was.

Alone in a run, for it takes the ground from under whatever else is done through the API server. A timer beside the
process lets it go on after `lasts`, whoever lives by then; that is 7 s at the most, so that neither the lease of the
run lapses (15 s) nor that of a leader (10 s), whose loss makes it exit. What runs goes on meanwhile; without the API
server or etcd nothing is read or changed, without the scheduler no pod gets a node, without the controller manager
nothing is replaced.

Felt while it lasts: a request for what only the store has is not answered within a second, or the component's Lease is
not renewed for 4 s. Healed when scheduler and controller manager renew theirs (2 to 4 s).
"""

from __future__ import annotations

from harness.faults.kind import FaultKind, by_hand
from harness.hands.host import inside
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.targets import components
from harness.targets.reach import Facts, Reach

LASTS = 6.0


def undo(fault: PlannedFault, reach: Reach) -> Undo:
    """Let the process go on, and end its timer."""
    return [inside.resume(reach.container(fault.victim.node), fault.victim.container, fault.id)]


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Pause the process, and look at once what is missed."""
    hand, component = reach.by(fault), fault.victim.container
    await components.prepare(fault, reach)
    seconds = float(fault.parameters.get("lasts") or LASTS)
    await reach.guard()
    await hand.apply(fault.id, [inside.pause(reach.container(fault.victim.node), component, fault.id, seconds)])
    reach.note(fault)["missed"] = await components.missed(reach.kube, component)
    return {"component": component, "seconds": seconds}


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Return what was missed while it lasted."""
    missed: Facts | None = reach.note(fault).get("missed")
    return missed


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the leaders of the control plane are at work."""
    return await components.whole(reach.kube)


FAULT = FaultKind(
    name="component_pause",
    hand=Hand.HOST,
    target="component",
    summary="Pause the API server, etcd, the scheduler or the controller manager for some seconds; alone in a run.",
    evidence="a request is not answered while it lasts, or the component's Lease is not renewed",
    healed_when="scheduler and controller manager renew their Leases",
    disturbs=frozenset({Disturbance.CONTROL_PLANE}),
    parameters=(Parameter("lasts", Type.DURATION, "For how long.", default=LASTS, minimum=5.0, maximum=7.0),),
    instant=True,
    alone=True,
    undo=undo,
    inject=inject,
    felt=felt,
    heal=by_hand,
    healed=healed,
)
