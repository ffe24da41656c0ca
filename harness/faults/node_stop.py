"""Stop the node's container without grace; starting it again must give it its old address.

Felt when the kubelet cannot be reached twice (a few seconds); NotReady follows after 40-50 s. Healed when the node
has its address, is Ready, and the pods that were ready on it are: its containers start anew.
"""

from __future__ import annotations

from harness.faults.kind import FaultKind, by_hand
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.targets import nodes, power

FAULT = FaultKind(
    name="node_stop",
    hand=Hand.HOST,
    target="node",
    summary="Stop nodes abruptly, as a loss of power does; they are started again to heal.",
    evidence="the node's kubelet is silent to the API server, or the node is NotReady",
    healed_when="the node is ready and so are its pods",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT}),
    fate=power.fate,
    reaches=nodes.reaches,
    undo=power.start,
    inject=power.cut,
    felt=nodes.silent,
    heal=by_hand,
    healed=power.back,
)
