"""Reclaim one node as a cloud reclaims a spot instance: notice, drain, and the loss of its power when the notice ends.

At the notice the node gets a taint of this fault's own that keeps new pods away, and the pods that the plan names are
evicted; refusals are asked again until the `notice` is over. Then the node's container is stopped without grace, with
whatever is still on it: a DaemonSet's pods, those that a budget held back, those whose own grace is longer. A pod that
nobody would replace makes it refuse before it begins. The step takes as long as the notice, and so does its window. The
undo starts the node, which must have its old address, and takes off the taint with this key and no other; before the
stop it has only the taint to take off.

Felt when the node has the taint and its kubelet cannot be reached twice (a few seconds after the stop). Healed when the
node is Ready without the taint, the pods that were left on it are ready, with new containers where it was stopped, and
every workload that lost a pod has again as many ready ones as it had.
"""

from __future__ import annotations

import anyio

from harness.cluster import paths
from harness.errors import InjectionFailed
from harness.faults.kind import FaultKind, by_hand
from harness.hands.api import kubectl
from harness.hands.host import inside
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.resources import resource
from harness.targets import draining, nodes, power, taints
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod


def key(fault: PlannedFault) -> str:
    """Name the taint that is the notice."""
    return taints.key(resource.name(fault))


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say that every pod that the plan names is to be evicted."""
    return Fate.EVICTED


def _control_plane(reach: Reach) -> str:
    return reach.cluster.control_plane if reach.cluster else ""


def undo(fault: PlannedFault, reach: Reach) -> Undo:
    """Start the node's container, and take off the taint of this fault."""
    untaint = {"op": "untaint", "path": paths.nodes(fault.victim.name), "key": key(fault)}
    return [*power.start(fault, reach), kubectl.said(untaint, _control_plane(reach))]


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Give notice, evict until it is over, and stop the node's container."""
    hand, name = reach.by(fault), fault.victim.name
    if reach.cluster is None:
        why = "the notice is given, and taken back, by kubectl on the node of the control plane"
        raise InjectionFailed("only the local cluster's keeper can reclaim a node", where=name, why=why)
    state = await nodes.prepare_container(fault, reach)
    reach.note(fault)["addresses"] = state["addresses"]
    victims, notice = await draining.victims(fault, reach), float(fault.parameters["notice"])
    await reach.guard()
    await hand.apply(fault.id, [inside.notice(_control_plane(reach), name, key(fault))])
    over = anyio.current_time() + notice
    facts = await draining.evict(fault, reach, victims, deadline=notice)
    await anyio.sleep_until(over)
    await reach.guard()
    reach.note(fault)["stopped"] = True
    await hand.apply(fault.id, [{"op": "stop", "container": reach.container(name)}])
    return facts | {"notice": notice}


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait for the taint and until the kubelet is silent, and say what went before and what a budget held back."""
    facts = await taints.shown(fault, reach, key(fault), want=True) | await nodes.silent(fault, reach)
    return facts | {name: reach.note(fault).get(name, []) for name in ("evicted", "left")}


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the node is back without its taint, and the workloads that lost a pod are complete."""
    stopped = bool(reach.note(fault).get("stopped"))
    facts = await power.back(fault, reach, restarted=stopped) | await taints.shown(fault, reach, key(fault), want=False)
    return facts | {"owners": await draining.complete(fault, reach)}


FAULT = FaultKind(
    name="node_spot_reclaim",
    hand=Hand.HOST,
    target="node",
    summary="Reclaim nodes as a cloud reclaims spot instances: notice, drain, and a stop when the notice is over.",
    evidence="the node has the taint of the notice, and its kubelet is silent to the API server",
    healed_when="the node is ready without the taint, and the workloads have their ready pods again",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT, Disturbance.EVICTION, Disturbance.CAPACITY}),
    parameters=(
        Parameter(
            "notice",
            Type.DURATION,
            "How long after its notice the node is stopped; clouds give 30 s to 2 minutes.",
            required=True,
            minimum=1,
            maximum=600,
        ),
    ),
    rights=({"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},),
    fate=fate,
    reaches=nodes.reaches,
    undo=undo,
    inject=inject,
    felt=felt,
    heal=by_hand,
    healed=healed,
)
