"""Cordon one node and evict its pods, retrying refusals until `deadline` seconds have passed (default 60).

Only pods that the plan names are evicted; one that came later stays and is named. Pods with emptyDir volumes go
too, unless `local` is false; a pod that nobody would replace makes the drain refuse before it begins. Felt when the
node keeps pods away and at least one eviction was answered; an empty node proves nothing. Healed when the node
takes pods again and every workload that lost one has again as many ready pods as it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults.kind import FaultKind
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.targets import draining, nodes
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod

DEADLINE = 60.0


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say that every pod that the plan names is to be evicted."""
    return Fate.EVICTED


def reaches(parameters: Mapping[str, Any], pod: Pod) -> bool:
    """Say whether a pod would be evicted; without `local` one is spared that keeps data on the node."""
    return nodes.movable(pod) and (parameters.get("local", True) or not nodes.keeps_data(pod))


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Cordon the node and evict the planned pods."""
    victims = await draining.victims(fault, reach)
    await nodes.cordon(fault, reach)
    return await draining.evict(fault, reach, victims, float(fault.parameters.get("deadline") or DEADLINE))


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Wait for the taint, and say what went and what a budget held back."""
    facts = await nodes.cordoned(fault, reach, want=True)
    evicted, left = (reach.note(fault).get(key, []) for key in ("evicted", "left"))
    if not evicted and not left:
        return None
    return facts | {"evicted": evicted, "left": left} | ({} if evicted else {"refused": True})


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the node takes pods again and the workloads that lost one are complete."""
    facts = await nodes.cordoned(fault, reach, want=False)
    return facts | {"owners": await draining.complete(fault, reach)}


FAULT = FaultKind(
    name="node_drain",
    hand=Hand.API,
    target="node",
    summary="Cordon nodes and evict their pods, waiting for budgets as an upgrade does.",
    evidence="the node is unschedulable and at least one eviction was answered",
    healed_when="the node is schedulable and the workloads have their ready pods again",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.EVICTION}),
    parameters=(
        Parameter("deadline", Type.DURATION, "Ask refused evictions again until then.", default=60.0, minimum=1),
        Parameter("local", Type.BOOLEAN, "Whether pods with emptyDir volumes are evicted, too.", default=True),
    ),
    rights=(
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
    ),
    fate=fate,
    reaches=reaches,
    undo=nodes.uncordon,
    inject=inject,
    felt=felt,
    heal=nodes.ask_uncordon,
    healed=healed,
)
