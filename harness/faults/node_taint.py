"""Put a taint of this fault's own on one node: NoSchedule keeps new pods away, NoExecute makes those there leave, too.

Nobody tolerates its key by name, so with NoExecute every pod leaves that does not tolerate all keys, a DaemonSet's,
too, and no disruption budget is asked: the taint eviction controller deletes them. The plan names them, they count
against the cap on pods, and one that nobody would replace makes the plan refuse. The undo takes off the taint with
this key and no other. Felt when the node shows the taint, with NoExecute when a pod that the plan names is going
(within a second; a node without such a pod proves nothing). Healed when the taint is gone and every workload that lost
a pod has as many ready ones as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cluster import observe, paths
from harness.cluster.observe import Objects
from harness.faults.kind import FaultKind, as_recorded, recorded
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.resources import resource
from harness.targets import nodes, pods, taints
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.targets.taints import NO_EXECUTE, NO_SCHEDULE
from harness.workloads.pod import Pod, grace, is_done, is_going


def key(fault: PlannedFault) -> str:
    """Name the taint of a fault."""
    return taints.key(resource.name(fault))


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say that every pod that the plan names is to go; it is marked as disrupted."""
    return Fate.EVICTED


def reaches(parameters: Mapping[str, Any], pod: Pod) -> bool:
    """Say whether a pod would have to leave; one that tolerates it for a time does so afterwards."""
    stays = parameters.get("effect") != NO_EXECUTE or is_done(pod) or is_going(pod)
    return not stays and taints.leaves(pod)


async def prepare(fault: PlannedFault, reach: Reach) -> Undo:
    """Count what the workloads have of those pods that are to go."""
    await nodes.read(reach.kube, fault)
    note = reach.note(fault)
    victims = [pod for pod in await nodes.on(reach.kube, fault.victim.name) if reaches(fault.parameters, pod)]
    nodes.require_planned(fault, victims)
    await nodes.require_replaced(fault, reach, victims, "aim at another node")
    everyone = {
        name: await reach.kube.list(paths.pods(name)) for name in sorted({pod.namespace for pod in fault.takes})
    }
    lost: dict[str, pods.Loss] = note.setdefault("lost", {})
    for pod in victims:
        loss = await pods.loss_of(reach, pod, everyone[pod["metadata"]["namespace"]])
        lost[loss.chain[0].uid] = loss
    note["grace"] = max((grace(pod) for pod in victims), default=0.0)
    return [{"op": "untaint", "path": paths.nodes(fault.victim.name), "key": key(fault)}]


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Add the taint to those that the node has."""
    taint = {"key": key(fault), "effect": fault.parameters["effect"]}
    await taints.put(fault, reach, taint)
    return {"node": fault.victim.name, "taint": f"{taint['key']}:{taint['effect']}"}


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Wait for the taint, and with NoExecute until one of the planned pods is going."""
    facts = await taints.shown(fault, reach, key(fault), want=True)
    if fault.parameters.get("effect") != NO_EXECUTE:
        return facts
    planned = {pod.uid: str(pod) for pod in fault.takes}
    if not planned:
        return None

    async def leaving(there: Objects) -> Facts | None:
        gone = [name for uid, name in planned.items() if uid not in there or is_going(there[uid])]
        return {"going": ", ".join(sorted(gone))} if gone else None

    fields = f"spec.nodeName={fault.victim.name}"
    return facts | await observe.until(reach.kube, "/api/v1/pods", leaving, fields=fields)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the taint is gone and the workloads that lost a pod are complete."""
    facts = await taints.shown(fault, reach, key(fault), want=False)
    lost: dict[str, pods.Loss] = reach.note(fault).get("lost", {})
    # Without its node no DaemonSet will have as many again.
    there = "node" not in facts
    return facts | {"owners": [await pods.complete(reach, lost[uid], daemons=there) for uid in sorted(lost)]}


FAULT = FaultKind(
    name="node_taint",
    hand=Hand.API,
    target="node",
    summary="Taint nodes: nothing new comes, or, with NoExecute, whatever does not tolerate everything leaves.",
    evidence="the node shows the taint; with NoExecute a pod that the plan names is going",
    healed_when="the taint is gone and the workloads have their ready pods again",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.CAPACITY}),
    parameters=(
        Parameter(
            "effect",
            Type.TEXT,
            f"{NO_SCHEDULE} or {NO_EXECUTE}.",
            default=NO_SCHEDULE,
            choices=(NO_SCHEDULE, NO_EXECUTE),
        ),
    ),
    rights=({"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]},),
    fate=fate,
    reaches=reaches,
    spends=True,
    prepare=prepare,
    undo=recorded,
    inject=inject,
    felt=felt,
    heal=as_recorded,
    healed=healed,
)
