"""A node that loses its power and gets it back: what becomes of its pods, and that it is at its old address again."""

from __future__ import annotations

from harness.errors import UndoFailed
from harness.model.fault import Undo
from harness.model.plan import PlannedFault
from harness.targets import nodes
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod, starts_again


def start(fault: PlannedFault, reach: Reach) -> Undo:
    """Start the node's container; one that runs is left as it is."""
    return [{"op": "start", "container": reach.container(fault.victim.name)}]


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say whether every container of the pod would start again: with the node, all end badly."""
    again = all(starts_again(pod, one["name"], failed=True) for one in pod["spec"]["containers"])
    return Fate.RESTARTED if again else Fate.GONE


async def cut(fault: PlannedFault, reach: Reach, *, again: bool = False) -> Facts:
    """Stop the node's container, and start it `again` at once; one that does not run is refused."""
    container, state = reach.container(fault.victim.name), await nodes.prepare_container(fault, reach)
    reach.note(fault)["addresses"] = state["addresses"]
    await reach.guard()
    ops = [{"op": "stop", "container": container}, *(start(fault, reach) if again else [])]
    await reach.by(fault).apply(fault.id, ops)
    return {"container": fault.victim.name, "addresses": state["addresses"]}


async def back(fault: PlannedFault, reach: Reach, *, restarted: bool = True) -> Facts:
    """Wait until node and pods are back, at the old address; raises UndoFailed when it is another.

    Of a node that was not `restarted` its pods keep their containers.
    """
    before = reach.note(fault).get("addresses")
    now = (await reach.by(fault).inspect(reach.container(fault.victim.name)))["addresses"]
    if before and now != before:
        raise UndoFailed(
            "the node came back with another address",
            where=fault.victim.name,
            why=f"it had {before}, it has {now}",
            hint="`harness up` repairs the local cluster",
        )
    return await nodes.back(fault, reach, restarted=restarted)
