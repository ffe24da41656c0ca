"""Freeze a node: every process on it stops at once, its address stays and accepts what nobody will read."""

from __future__ import annotations

from harness.errors import InjectionFailed
from harness.faults import nodes
from harness.faults.reach import Facts, Reach, Undo
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.workloads.pod import Pod


class NodeFreeze:
    """Pause the node's container.

    Felt when the kubelet has left the API server without an answer twice (about 4 s); the node turns NotReady only
    after 40-50 s, so a shorter freeze never shows there. Healed when the kubelet answers, the node is Ready and the
    pods that were ready on it are again: under a second after a short freeze, about 10 s after one that was NotReady.
    """

    kind = "node_freeze"
    hand = Hand.HOST

    def undo(self, fault: PlannedFault, reach: Reach) -> Undo:
        """Unpause the node's container."""
        return [{"op": "unpause", "container": reach.container(fault.victim.name)}]

    def loses(self, fault: PlannedFault, pod: Pod) -> bool:
        """Say no: what runs on the node stands still, and goes on."""
        return False

    async def inject(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Pause the node's container; one that is paused already is refused."""
        keeper = reach.need_keeper()
        await nodes.prepare(fault, reach)
        state = await keeper.inspect(reach.container(fault.victim.name))
        if state["paused"] or not state["running"]:
            raise InjectionFailed("the node's container is not running to begin with", where=fault.victim.name)
        await reach.guard()
        await keeper.apply(fault.id, [{"op": "pause", "container": reach.container(fault.victim.name)}])
        return {"container": reach.container(fault.victim.name)}

    async def felt(self, fault: PlannedFault, reach: Reach) -> Facts | None:
        """Wait until the kubelet is silent or the node NotReady."""
        return await nodes.silent(fault, reach)

    async def heal(self, fault: PlannedFault, reach: Reach) -> None:
        """Have the keeper unpause the node's container."""
        await reach.need_keeper().heal(fault.id)

    async def healed(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Wait until node and pods are back."""
        return await nodes.back(fault, reach)


FAULT = NodeFreeze()
