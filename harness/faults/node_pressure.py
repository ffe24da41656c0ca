"""Have one node report that its memory runs out, though nothing is used up: its kubelet's threshold is raised.

The kubelet is started anew with a soft threshold above all that a machine has, by options in /run that no file of the
node knows of; the undo takes them away and starts it anew once more, and a node that is started anew never had them. So
the node is tainted and nothing new comes. Readiness that the kubelet asks for anew may take its pods out of their
Services for moments, at both ends: each that is neither critical nor static is named by the plan and counts against
the cap on pods. A kubelet that starts under pressure refuses pods of class BestEffort, also those that run.

With `evicts` it evicts as well until the fault is over: one pod after the other, some 10 s apart, those first that use
more than they asked for, then by priority, without grace and without asking a budget; a DaemonSet's come and go again.
Whatever may have to go makes the plan refuse where nobody would replace it, and stays listed as Failed when it went.

Felt when the node says so and has the taint (10 to 30 s), with `evicts` when a pod that the plan names has gone (10 to
20 s more). Healed when it says so no more (10 to 20 s), the node is Ready, the pods that were ready on it are, and
every workload that lost one has as many ready ones as it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cluster import observe, paths
from harness.cluster.observe import Objects
from harness.errors import InjectionFailed
from harness.faults.kind import FaultKind, by_hand
from harness.hands.host import inside
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.targets import draining, nodes, pods
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod, is_done, is_going, is_static

CONDITION, TAINT = "MemoryPressure", "node.kubernetes.io/memory-pressure"
# More than any machine has: a share of all it has is no threshold to a kubelet. A pod goes when it is over for so long.
THRESHOLD, AT_ONCE, NEVER = "--eviction-soft=memory.available<1Pi", "1s", "720h"
GRACE = "--eviction-soft-grace-period=memory.available="
# From this priority on a pod is critical, and no kubelet evicts it (Kubernetes' scheduling API).
CRITICAL = 2_000_000_000


def options(parameters: Mapping[str, Any]) -> list[str]:
    """Return what the kubelet is started with."""
    return [THRESHOLD, GRACE + (AT_ONCE if parameters.get("evicts") else NEVER)]


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say whether a pod may have to go."""
    refused = (pod.get("status") or {}).get("qosClass") == "BestEffort"
    return Fate.EVICTED if fault.parameters.get("evicts") or refused else Fate.STAYS


def reaches(parameters: Mapping[str, Any], pod: Pod) -> bool:
    """Say whether a pod may be evicted, or asked for its readiness anew: every one that is not critical."""
    critical = int(pod["spec"].get("priority") or 0) >= CRITICAL
    return not (critical or is_static(pod) or is_done(pod) or is_going(pod))


def undo(fault: PlannedFault, reach: Reach) -> Undo:
    """Have the node's kubelet start as ever."""
    return [inside.relief(reach.container(fault.victim.name), fault.id)]


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Raise the threshold; a node that says so already is refused, and one with a pod that would be lost for good."""
    container = reach.container(fault.victim.name)
    await nodes.prepare_container(fault, reach)
    if _says(await nodes.read(reach.kube, fault)):
        raise InjectionFailed(f"the node reports {CONDITION} already", where=fault.victim.name)
    await _count(fault, reach)
    await reach.guard()
    await reach.by(fault).apply(fault.id, [inside.pressure(container, fault.id, options(fault.parameters))])
    return {"container": container, "condition": CONDITION}


async def _count(fault: PlannedFault, reach: Reach) -> None:
    """Count what the workloads have whose pods may have to go."""
    there = await nodes.on(reach.kube, fault.victim.name)
    victims = [pod for pod in there if reaches(fault.parameters, pod) and fate(fault, pod).lost]
    nodes.require_planned(fault, victims)
    await nodes.require_replaced(fault, reach, victims, draining.HINT)
    lost: dict[str, pods.Loss] = reach.note(fault).setdefault("lost", {})
    for pod in victims:
        loss = await pods.loss_of(reach, pod, await reach.kube.list(paths.pods(pod["metadata"]["namespace"])))
        lost[loss.chain[0].uid] = loss


def _says(node: Mapping[str, Any]) -> bool:
    found = (node.get("status") or {}).get("conditions") or []
    return any(one["type"] == CONDITION and one["status"] == "True" for one in found)


async def _shown(fault: PlannedFault, reach: Reach, *, want: bool) -> Facts:
    """Wait until the node says so and has the taint of it, or neither."""

    async def judge(found: Objects) -> Facts | None:
        for node in found.values():
            tainted = any(one["key"] == TAINT for one in node["spec"].get("taints") or [])
            return {"pressure": want, "tainted": want} if tainted is want and _says(node) is want else None
        return {"node": "gone"}

    return await observe.until(reach.kube, paths.nodes(), judge, fields=f"metadata.name={fault.victim.name}")


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Wait for the node's word and its taint, and with `evicts` until a planned pod has gone."""
    facts, planned = await _shown(fault, reach, want=True), {pod.uid: str(pod) for pod in fault.takes}
    if not fault.parameters.get("evicts"):
        return facts
    if not planned:
        return None

    async def leaving(there: Objects) -> Facts | None:
        gone = [name for uid, name in planned.items() if uid not in there or is_done(there[uid])]
        return {"evicted": ", ".join(sorted(gone))} if gone else None

    fields = f"spec.nodeName={fault.victim.name}"
    return facts | await observe.until(reach.kube, "/api/v1/pods", leaving, fields=fields)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the node says so no more, is whole, and every workload that lost a pod is complete."""
    facts = await _shown(fault, reach, want=False) | await nodes.back(fault, reach)
    return facts | {"owners": await draining.complete(fault, reach)}


FAULT = FaultKind(
    name="node_pressure",
    hand=Hand.HOST,
    target="node",
    summary="Have nodes report that their memory runs out: nothing new comes, or, with evicts, what is there goes.",
    evidence="the node reports the pressure and has its taint; with evicts a pod that the plan names has gone",
    healed_when="the node reports no pressure, is ready, and the workloads have their ready pods again",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.CAPACITY}),
    parameters=(Parameter("evicts", Type.BOOLEAN, "Whether the kubelet evicts pods for it, too.", default=False),),
    fate=fate,
    reaches=reaches,
    spends=True,
    undo=undo,
    inject=inject,
    felt=felt,
    heal=by_hand,
    healed=healed,
)
