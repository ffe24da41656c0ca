"""Pause the node's container.

Felt when the kubelet has left the API server without an answer twice (about 4 s); the node turns NotReady only
after 40-50 s, so a shorter freeze never shows there. Healed when the kubelet answers, the node is Ready and the
pods that were ready on it are again: under a second after a short freeze, about 10 s after one that was NotReady.
"""

from __future__ import annotations

from harness.faults.kind import FaultKind, by_hand
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.plan import PlannedFault
from harness.targets import nodes
from harness.targets.reach import Facts, Reach


def undo(fault: PlannedFault, reach: Reach) -> Undo:
    """Unpause the node's container."""
    return [{"op": "unpause", "container": reach.container(fault.victim.name)}]


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Pause the node's container; one that is paused already is refused."""
    await nodes.prepare_container(fault, reach)
    container = reach.container(fault.victim.name)
    await reach.guard()
    await reach.by(fault).apply(fault.id, [{"op": "pause", "container": container}])
    return {"container": container}


FAULT = FaultKind(
    name="node_freeze",
    hand=Hand.HOST,
    target="node",
    summary="Freeze nodes: every process stops, addresses stay, requests to them hang.",
    evidence="the node's kubelet is silent to the API server, or the node is NotReady",
    healed_when="the node is ready and so are its pods",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT}),
    reaches=nodes.reaches,
    undo=undo,
    inject=inject,
    felt=nodes.silent,
    heal=by_hand,
    healed=nodes.back,
)
