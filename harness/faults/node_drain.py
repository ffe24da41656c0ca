"""Drain a node: cordon it and evict what runs there, as far as disruption budgets allow."""

from __future__ import annotations

from typing import Any

import anyio

from harness.errors import InjectionFailed
from harness.faults import eviction, nodes, pods
from harness.faults.pods import Owner
from harness.faults.reach import Facts, Reach, Undo
from harness.model.fault import Hand
from harness.model.plan import PlannedFault

DEADLINE = 60.0


class NodeDrain:
    """Cordon one node and evict its pods, retrying refusals until `deadline` seconds have passed (default 60).

    Only pods that the plan names are evicted; one that came later stays and is named. Pods with emptyDir volumes go
    too, unless `local` is false; a pod that no controller owns makes the drain refuse before it begins. Felt when the
    node keeps pods away and at least one eviction was answered; an empty node proves nothing. Healed when the node
    takes pods again and every workload that lost one is complete.
    """

    kind = "node_drain"
    hand = Hand.API

    def undo(self, fault: PlannedFault, reach: Reach) -> Undo:
        """Uncordon from the control-plane container; evicted pods have been replaced elsewhere."""
        return nodes.uncordon(fault, reach)

    async def inject(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Cordon the node and evict the planned pods."""
        planned = {pod.uid for pod in fault.takes}
        found = [pod for pod in await nodes.on(reach.kube, fault.victim.name) if nodes.movable(pod)]
        victims = [pod for pod in found if pod["metadata"]["uid"] in planned]
        owners = [await pods.owner_of(reach.kube, pod) for pod in victims]
        if None in owners:
            lonely = [pod["metadata"] for pod, owner in zip(victims, owners, strict=True) if owner is None]
            raise InjectionFailed(
                f"{lonely[0]['namespace']}/{lonely[0]['name']} would be lost for good",
                where=fault.victim.name,
                why="no controller owns it",
                hint="delete it or aim at another node",
            )
        await nodes.cordon(fault, reach)
        note = reach.note(fault)
        lost: set[tuple[str, Owner]] = note.setdefault("lost", set())
        deadline = float(fault.parameters.get("deadline") or DEADLINE)
        answers: dict[str, int] = {}

        async def one(pod: dict[str, Any], owner: Owner) -> None:
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            lost.add((namespace, owner))
            answers[f"{namespace}/{name}"] = (await eviction.evict(reach, pod, deadline=deadline))["status"]

        async with anyio.create_task_group() as group:
            for pod, owner in zip(victims, owners, strict=True):
                if owner is not None:
                    group.start_soon(one, pod, owner)
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
        owners = [await pods.complete(reach.kube, *pair) for pair in sorted(reach.note(fault).get("lost", ()), key=str)]
        return facts | {"owners": owners}


FAULT = NodeDrain()
