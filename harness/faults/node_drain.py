"""Drain a node: cordon it and evict what runs there, as far as disruption budgets allow."""

from __future__ import annotations

from typing import Any

import anyio

from harness.cluster import kube as api
from harness.errors import InjectionFailed
from harness.faults import eviction, nodes, pods
from harness.faults.reach import Facts, Reach, Undo
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.workloads.pod import Pod, grace

DEADLINE = 60.0
HINT = "delete it, or aim at another node"


class NodeDrain:
    """Cordon one node and evict its pods, retrying refusals until `deadline` seconds have passed (default 60).

    Only pods that the plan names are evicted; one that came later stays and is named. Pods with emptyDir volumes go
    too, unless `local` is false; a pod that nobody would replace makes the drain refuse before it begins. Felt when the
    node keeps pods away and at least one eviction was answered; an empty node proves nothing. Healed when the node
    takes pods again and every workload that lost one has again as many ready pods as it had.
    """

    kind = "node_drain"
    hand = Hand.API

    def undo(self, fault: PlannedFault, reach: Reach) -> Undo:
        """Uncordon from the control-plane container; evicted pods have been replaced elsewhere."""
        return nodes.uncordon(fault, reach)

    def loses(self, fault: PlannedFault, pod: Pod) -> bool:
        """Say yes: every pod that the plan names is to be evicted."""
        return True

    async def inject(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Cordon the node and evict the planned pods."""
        planned = {pod.uid for pod in fault.takes}
        found = [pod for pod in await nodes.on(reach.kube, fault.victim.name) if nodes.movable(pod)]
        victims = [pod for pod in found if pod["metadata"]["uid"] in planned]
        for pod in victims:
            if why := await pods.lost_for_good(reach.owners, fault, pod):
                name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                raise InjectionFailed(f"{pods.LOST}: {name}", where=fault.victim.name, why=why, hint=HINT)
        namespaces = sorted({pod["metadata"]["namespace"] for pod in victims})
        everyone = {name: await reach.kube.list(api.pods(name)) for name in namespaces}
        await nodes.cordon(fault, reach)
        note = reach.note(fault)
        lost: dict[str, pods.Loss] = note.setdefault("lost", {})
        note["grace"] = max((grace(pod) for pod in victims), default=0.0)
        deadline = float(fault.parameters.get("deadline") or DEADLINE)
        answers: dict[str, int] = {}

        async def one(pod: dict[str, Any]) -> None:
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            loss = await pods.loss_of(reach, pod, everyone[namespace])
            lost[loss.chain[0].uid] = loss
            answer = await eviction.evict(reach, pod, deadline=deadline, owner=loss.owner)
            answers[f"{namespace}/{name}"] = answer["status"]

        async with anyio.create_task_group() as group:
            for pod in victims:
                group.start_soon(one, pod)
        note["evicted"] = sorted(name for name, status in answers.items() if status < 400)
        note["left"] = sorted(name for name, status in answers.items() if status in (429, 500))
        still = [pod["metadata"] for pod in await nodes.on(reach.kube, fault.victim.name) if nodes.movable(pod)]
        later = sorted(f"{item['namespace']}/{item['name']}" for item in still if item["uid"] not in planned)
        return {"node": fault.victim.name, "evicted": note["evicted"], "left": note["left"], "came_later": later}

    async def felt(self, fault: PlannedFault, reach: Reach) -> Facts | None:
        """Wait for the taint, and say what went and what a budget held back."""
        facts = await nodes.cordoned(fault, reach, want=True)
        evicted, left = (reach.note(fault).get(key, []) for key in ("evicted", "left"))
        if not evicted and not left:
            return None
        return facts | {"evicted": evicted, "left": left} | ({} if evicted else {"refused": True})

    async def heal(self, fault: PlannedFault, reach: Reach) -> None:
        """Uncordon the node."""
        await nodes.ask_uncordon(fault, reach)

    async def healed(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Wait until the node takes pods again and the workloads that lost one are complete."""
        facts = await nodes.cordoned(fault, reach, want=False)
        lost: dict[str, pods.Loss] = reach.note(fault).get("lost", {})
        return facts | {"owners": [await pods.complete(reach, lost[key]) for key in sorted(lost)]}


FAULT = NodeDrain()
