"""Cut one node off from everything else, its address kept: it runs on, and no packet reaches it or leaves it.

What is inside runs on and finds nobody: pods of the node still reach each other, connections stay open on both sides
until somebody's patience ends, and whoever led goes on to think so. The packets are dropped in the node itself, by two
rules that bear the fault's name; a node that is started anew has none. Felt when the kubelet has left the API server
without an answer twice (about 4 s); the node turns NotReady only after 40-50 s. Healed when the kubelet answers, the
node is Ready and the pods that were ready on it are again: within seconds after a short cut. What stayed connected
sends again later the longer nobody answered, so that a long one may need as long again to be over.
"""

from __future__ import annotations

from harness.faults.kind import FaultKind, by_hand
from harness.hands.host import inside
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.plan import PlannedFault
from harness.targets import nodes
from harness.targets.reach import Facts, Reach


def undo(fault: PlannedFault, reach: Reach) -> Undo:
    """Take this fault's rules out of the node."""
    return [inside.network(reach.container(fault.victim.name), fault.id, "mend")]


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Drop what comes in or leaves; a node whose container does not run is refused."""
    container = reach.container(fault.victim.name)
    await nodes.prepare_container(fault, reach)
    await reach.guard()
    await reach.by(fault).apply(fault.id, [inside.network(container, fault.id, "cut")])
    return {"container": container}


FAULT = FaultKind(
    name="node_disconnect",
    hand=Hand.HOST,
    target="node",
    summary="Cut nodes off from the network: they run on at their addresses, and nobody reaches them.",
    evidence="the node's kubelet is silent to the API server, or the node is NotReady",
    healed_when="the node is ready and so are its pods",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT, Disturbance.NETWORK}),
    reaches=nodes.reaches,
    undo=undo,
    inject=inject,
    felt=nodes.silent,
    heal=by_hand,
    healed=nodes.back,
)
