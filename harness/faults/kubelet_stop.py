"""Stop one node's kubelet: what runs there goes on, and nobody looks after it any more.

No pod is started or ended there, no probe is asked, no container that ends comes back. Felt when the kubelet cannot be
reached twice (about a second: its port refuses). After 40-50 s its Lease is too old, the node turns NotReady and its
pods leave their Services, although they still answer; a shorter stop never shows there. Healed when the kubelet
answers, the node is Ready and the pods that were ready on it are again (some 5 s, about 15 s after NotReady). A node
that is started anew has its kubelet.
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
    """Start the node's kubelet."""
    return [inside.unit(reach.container(fault.victim.name), "kubelet", "start")]


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Stop the node's kubelet; one that does not answer is refused."""
    container = reach.container(fault.victim.name)
    await nodes.prepare_container(fault, reach)
    await reach.guard()
    await reach.by(fault).apply(fault.id, [inside.unit(container, "kubelet", "stop")])
    return {"container": container}


FAULT = FaultKind(
    name="kubelet_stop",
    hand=Hand.HOST,
    target="node",
    summary="Stop the kubelet of nodes: their pods run on, and nobody starts, ends or probes anything there.",
    evidence="the node's kubelet is silent to the API server, or the node is NotReady",
    healed_when="the kubelet answers, the node is ready and so are its pods",
    disturbs=frozenset({Disturbance.CAPACITY, Disturbance.CONTROL_PLANE}),
    reaches=nodes.reaches,
    undo=undo,
    inject=inject,
    felt=nodes.silent,
    heal=by_hand,
    healed=nodes.back,
)
