"""Evict from a node the pods that a plan names, and tell what went, what was held back and what came later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

from harness.cluster import paths
from harness.model.plan import PlannedFault
from harness.targets import eviction, nodes, pods
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import grace

HINT = "delete it, or aim at another node"


async def victims(fault: PlannedFault, reach: Reach) -> list[dict[str, Any]]:
    """List those of the planned pods that are there; raises InjectionFailed where nobody would replace one."""
    planned = {pod.uid for pod in fault.takes}
    found = [pod for pod in await nodes.on(reach.kube, fault.victim.name) if nodes.movable(pod)]
    chosen = [pod for pod in found if pod["metadata"]["uid"] in planned]
    await nodes.require_replaced(fault, reach, chosen, HINT)
    return chosen


async def evict(fault: PlannedFault, reach: Reach, chosen: Sequence[dict[str, Any]], deadline: float) -> Facts:
    """Evict pods, asking again while a budget refuses until `deadline` seconds have passed, and return what became."""
    note = reach.note(fault)
    lost: dict[str, pods.Loss] = note.setdefault("lost", {})
    note["grace"] = max((grace(pod) for pod in chosen), default=0.0)
    namespaces = sorted({pod["metadata"]["namespace"] for pod in chosen})
    everyone = {name: await reach.kube.list(paths.pods(name)) for name in namespaces}
    answers: dict[str, int] = {}

    async def one(pod: dict[str, Any]) -> None:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        loss = await pods.loss_of(reach, pod, everyone[namespace])
        lost[loss.chain[0].uid] = loss
        answer = await eviction.evict(reach, pod, deadline=deadline, owner=loss.owner)
        answers[f"{namespace}/{name}"] = answer["status"]

    async with anyio.create_task_group() as group:
        for pod in chosen:
            group.start_soon(one, pod)
    note["evicted"] = sorted(name for name, status in answers.items() if status < 400)
    note["left"] = sorted(name for name, status in answers.items() if status in (429, 500))
    planned = {pod.uid for pod in fault.takes}
    still = [pod["metadata"] for pod in await nodes.on(reach.kube, fault.victim.name) if nodes.movable(pod)]
    later = sorted(f"{item['namespace']}/{item['name']}" for item in still if item["uid"] not in planned)
    return {"node": fault.victim.name, "evicted": note["evicted"], "left": note["left"], "came_later": later}


async def complete(fault: PlannedFault, reach: Reach) -> list[Facts]:
    """Wait until every workload that lost a pod has again as many ready ones as it had."""
    lost: dict[str, pods.Loss] = reach.note(fault).get("lost", {})
    return [await pods.complete(reach, lost[uid]) for uid in sorted(lost)]
