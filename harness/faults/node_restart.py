"""Stop the node's container without grace and start it at once, as a crash and the reboot after it do.

It heals by itself; the undo starts a node whose starting died with whoever asked for it. Felt when the kubelet cannot
be reached twice (within about two seconds: a node needs longer to boot). Healed when the node has its old address, is
Ready, and the pods that were ready on it are: their containers start anew (some 15 to 40 s).
"""

from __future__ import annotations

from harness.faults.kind import FaultKind, by_hand
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.targets import nodes, power
from harness.targets.reach import Facts, Reach


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Stop the node's container and start it again; one that does not run is refused."""
    return await power.cut(fault, reach, again=True)


FAULT = FaultKind(
    name="node_restart",
    hand=Hand.HOST,
    target="node",
    summary="Restart nodes abruptly, as a crash does; they boot by themselves.",
    evidence="the node's kubelet is silent to the API server, or the node is NotReady",
    healed_when="the node is ready at its old address and so are its pods, with new containers",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT}),
    instant=True,
    fate=power.fate,
    reaches=nodes.reaches,
    undo=power.start,
    inject=inject,
    felt=nodes.silent,
    heal=by_hand,
    healed=power.back,
)
