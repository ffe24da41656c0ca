"""Stop the node's container without grace; starting it again must give it its old address.

Felt when the kubelet cannot be reached twice (a few seconds); NotReady follows after 40-50 s. Healed when the node
has its address, is Ready, and the pods that were ready on it are: its containers start anew.
"""

from __future__ import annotations

from harness.errors import UndoFailed
from harness.faults.kind import FaultKind, by_hand
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.plan import PlannedFault
from harness.targets import nodes
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod, starts_again


def undo(fault: PlannedFault, reach: Reach) -> Undo:
    """Start the node's container."""
    return [{"op": "start", "container": reach.container(fault.victim.name)}]


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say whether every container of the pod would start again: with the node, all end badly."""
    again = all(starts_again(pod, one["name"], failed=True) for one in pod["spec"]["containers"])
    return Fate.RESTARTED if again else Fate.GONE


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Stop the node's container; one that does not run is refused."""
    state = await nodes.prepare_container(fault, reach)
    reach.note(fault)["addresses"] = state["addresses"]
    await reach.guard()
    await reach.by(fault).apply(fault.id, [{"op": "stop", "container": reach.container(fault.victim.name)}])
    return {"container": fault.victim.name, "addresses": state["addresses"]}


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until node and pods are back, at the old address; raises UndoFailed when it is another."""
    before = reach.note(fault).get("addresses")
    now = (await reach.by(fault).inspect(reach.container(fault.victim.name)))["addresses"]
    if before and now != before:
        raise UndoFailed(
            "the node came back with another address",
            where=fault.victim.name,
            why=f"it had {before}, it has {now}",
            hint="`harness up` repairs the local cluster",
        )
    return await nodes.back(fault, reach, restarted=True)


FAULT = FaultKind(
    name="node_stop",
    hand=Hand.HOST,
    target="node",
    summary="Stop nodes abruptly, as a loss of power does; they are started again to heal.",
    evidence="the node's kubelet is silent to the API server, or the node is NotReady",
    healed_when="the node is ready and so are its pods",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT}),
    fate=fate,
    reaches=nodes.reaches,
    undo=undo,
    inject=inject,
    felt=nodes.silent,
    heal=by_hand,
    healed=healed,
)
