"""Cordon a node: what runs on it stays, nothing new comes."""

from __future__ import annotations

from harness.faults import nodes
from harness.faults.reach import Facts, Reach, Undo
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.workloads.pod import Pod


class NodeCordon:
    """Mark one node unschedulable; one that is already is refused.

    Felt when the node carries the taint that keeps pods away (below a second), healed when it is gone.
    """

    kind = "node_cordon"
    hand = Hand.API

    def undo(self, fault: PlannedFault, reach: Reach) -> Undo:
        """Uncordon from the control-plane container."""
        return nodes.uncordon(fault, reach)

    def loses(self, fault: PlannedFault, pod: Pod) -> bool:
        """Say no: what runs on the node stays."""
        return False

    async def inject(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Cordon the node."""
        await nodes.cordon(fault, reach)
        return {"node": fault.victim.name}

    async def felt(self, fault: PlannedFault, reach: Reach) -> Facts | None:
        """Wait for the taint."""
        return await nodes.cordoned(fault, reach, want=True)

    async def heal(self, fault: PlannedFault, reach: Reach) -> None:
        """Uncordon the node."""
        await nodes.ask_uncordon(fault, reach)

    async def healed(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Wait until pods may come again."""
        return await nodes.cordoned(fault, reach, want=False)


FAULT = NodeCordon()
