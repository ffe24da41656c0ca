"""Stop a node: power off, without a word to anyone."""

from __future__ import annotations

from harness.errors import InjectionFailed, UndoFailed
from harness.faults import nodes
from harness.faults.reach import Facts, Reach, Undo
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.workloads.pod import Pod, starts_again


class NodeStop:
    """Stop the node's container without grace; starting it again must give it its old address.

    Felt when the kubelet cannot be reached twice (a few seconds); NotReady follows after 40-50 s. Healed when the node
    has its address, is Ready, and the pods that were ready on it are: its containers start anew.
    """

    kind = "node_stop"
    hand = Hand.HOST

    def undo(self, fault: PlannedFault, reach: Reach) -> Undo:
        """Start the node's container."""
        return [{"op": "start", "container": reach.container(fault.victim.name)}]

    def loses(self, fault: PlannedFault, pod: Pod) -> bool:
        """Say whether a container of the pod would stay down: with the node, all end badly."""
        return any(not starts_again(pod, one["name"], failed=True) for one in pod["spec"]["containers"])

    async def inject(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Stop the node's container; one that does not run is refused."""
        keeper = reach.need_keeper()
        await nodes.prepare(fault, reach)
        state = await keeper.inspect(reach.container(fault.victim.name))
        if state["paused"] or not state["running"]:
            raise InjectionFailed("the node's container is not running to begin with", where=fault.victim.name)
        reach.note(fault)["addresses"] = state["addresses"]
        await reach.guard()
        await keeper.apply(fault.id, [{"op": "stop", "container": reach.container(fault.victim.name)}])
        return {"container": fault.victim.name, "addresses": state["addresses"]}

    async def felt(self, fault: PlannedFault, reach: Reach) -> Facts | None:
        """Wait until the kubelet cannot be reached or the node is NotReady."""
        return await nodes.silent(fault, reach)

    async def heal(self, fault: PlannedFault, reach: Reach) -> None:
        """Have the keeper start the node's container."""
        await reach.need_keeper().heal(fault.id)

    async def healed(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Wait until node and pods are back, at the old address; raises UndoFailed when it is another."""
        before = reach.note(fault).get("addresses")
        now = (await reach.need_keeper().inspect(reach.container(fault.victim.name)))["addresses"]
        if before and now != before:
            raise UndoFailed(
                "the node came back with another address",
                where=fault.victim.name,
                why=f"it had {before}, it has {now}",
                hint="`harness up` repairs the local cluster",
            )
        return await nodes.back(fault, reach, restarted=True)


FAULT = NodeStop()
