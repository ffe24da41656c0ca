"""Cut all nodes of one zone off at the same time, as one fault: they run on, and nobody outside reaches them.

The network is cut, and no node is frozen or stopped, because that is what a lost zone is to everybody else, whatever
became of it: connections to it are not made. A frozen node's kernel would go on to accept them. It is the harder loss
for what is inside, too: whoever leads there goes on to think so, and meets the others again when the zone is back. The
nodes of the zone do not reach each other either.

The plan names every node and every pod that goes with them, and both count against the caps. A zone that holds a node
of the control plane is left out: a run that cannot reach the API server sees nothing and holds no lease. Felt when
every kubelet of the zone has left the API server without an answer twice (about 4 s); the nodes turn NotReady after
40-50 s. Healed when each node is Ready and the pods that were ready there are again: within seconds after a short
outage; after a long one it may take as long again, as what stayed connected sends again later the longer nobody
answered.
"""

from __future__ import annotations

from harness.faults.kind import FaultKind, by_hand
from harness.hands.host import inside
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.plan import PlannedFault
from harness.targets import nodes, zones
from harness.targets.reach import Facts, Reach


def rules(fault: PlannedFault, reach: Reach, do: str) -> Undo:
    """List what cuts or mends each node of the zone."""
    return [inside.network(reach.container(part.victim.name), fault.id, do) for part in zones.each(fault)]


def undo(fault: PlannedFault, reach: Reach) -> Undo:
    """Take this fault's rules out of every node."""
    return rules(fault, reach, "mend")


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Drop what comes into the zone's nodes or leaves them; nodes that the plan does not name make it refuse."""
    hand = reach.by(fault)
    await zones.prepare(fault, reach)
    await reach.guard()
    await hand.apply(fault.id, rules(fault, reach, "cut"))
    return {"zone": fault.victim.name, "nodes": ", ".join(part.victim.name for part in zones.each(fault))}


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until no kubelet of the zone answers, or its node is not Ready."""
    found = await zones.together(fault, lambda part: nodes.silent(part, reach))
    return {name: "silent" if one["kubelet"] == "silent" else "not ready" for name, one in found.items()}


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until every node is back, and its pods are."""
    found = await zones.together(fault, lambda part: nodes.back(part, reach))
    return {"nodes": ", ".join(found), "ready": True, "pods_ready": sum(one["pods_ready"] for one in found.values())}


FAULT = FaultKind(
    name="zone_outage",
    hand=Hand.HOST,
    target="zone",
    summary="Cut every node of a zone off from the network at the same time, as one fault.",
    evidence="the kubelet of each node of the zone is silent to the API server, or the node is NotReady",
    healed_when="each node of the zone is ready and so are its pods",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT, Disturbance.NETWORK}),
    reaches=nodes.reaches,
    spends=True,
    undo=undo,
    inject=inject,
    felt=felt,
    heal=by_hand,
    healed=healed,
)
