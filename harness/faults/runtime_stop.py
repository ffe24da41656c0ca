"""Stop one node's container runtime: what runs there goes on, and its kubelet can start, end and look at nothing.

Containers live on under their shims and serve, an agent of ours among them; probes by request go on, those by command
are not asked. No pod is started, ended or restarted there, and neither logs nor commands reach one. Felt when the
kubelet answers for itself and twice not for its containers (it remembers them for 3 s), or the node is not Ready and
says that its runtime is down. That the kubelet says after 25 to 40 s: then the node's pods leave their Services,
although they still answer; a shorter stop never shows there. Healed when the kubelet lists its containers again, the
node is Ready and the pods that were ready on it are (some 5 s, about 15 s after NotReady). A node that is started anew
has its runtime. What is stopped is the unit `containerd`, which every node of kind has.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import anyio

from harness.cluster import paths
from harness.errors import ApiError, ClusterUnreachable, InjectionFailed
from harness.faults.kind import FaultKind, by_hand
from harness.hands.host import inside
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.plan import PlannedFault
from harness.targets import nodes
from harness.targets.reach import Facts, Reach

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

UNIT = "containerd"
# How a kubelet answers whose runtime does not: an error of its call to it.
FAILED = 500
# What the kubelet says of its runtime in the node's Ready condition: that it is down, or that nobody lists containers.
NAMED = ("container runtime is down", "PLEG is not healthy")
PAUSE_SECONDS = 0.25


def undo(fault: PlannedFault, reach: Reach) -> Undo:
    """Start the node's container runtime."""
    return [inside.unit(reach.container(fault.victim.name), UNIT, "start")]


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Stop the node's container runtime; a kubelet that cannot list its containers before is refused."""
    container = reach.container(fault.victim.name)
    await nodes.prepare_container(fault, reach)
    if not await lists(reach.kube, fault.victim.name):
        why = "that it cannot while the runtime is stopped is the evidence"
        raise InjectionFailed("the node's kubelet does not list its containers", where=fault.victim.name, why=why)
    await reach.guard()
    await reach.by(fault).apply(fault.id, [inside.unit(container, UNIT, "stop")])
    return {"container": container}


async def lists(kube: Kube, node: str) -> bool:
    """Say whether the node's kubelet gets a list of its containers from the runtime."""
    try:
        await kube.get_text(f"{paths.nodes(node)}/proxy/runningpods/")
    except ApiError as error:
        if error.status < FAILED:
            raise
        return False
    return True


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the kubelet answers, and twice not for its containers, or says that the runtime is down."""
    name, misses = fault.victim.name, 0
    while True:
        try:
            silent = not await lists(reach.kube, name) and await nodes.answers(reach.kube, name)
            said = _said(await reach.kube.get(paths.nodes(name)))
        except (ClusterUnreachable, ApiError) as error:
            if isinstance(error, ApiError) and error.status < FAILED:
                raise
            misses = 0
        else:
            misses = misses + 1 if silent else 0
            if said or misses > 1:
                return {"runtime": said or "its kubelet lists no containers", "ready": not said}
        await anyio.sleep(PAUSE_SECONDS)


def _said(node: dict[str, Any]) -> str:
    """Return what the node says of its runtime where it is not Ready for that; empty where it is."""
    found = (one for one in node.get("status", {}).get("conditions") or [] if one["type"] == "Ready")
    said = next((str(one.get("message", "")) for one in found if one["status"] == "False"), "")
    return next((words for words in NAMED if words in said), "")


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the kubelet lists its containers, and node and pods are whole."""
    while True:
        with contextlib.suppress(ClusterUnreachable):
            if await lists(reach.kube, fault.victim.name):
                return await nodes.back(fault, reach)
        await anyio.sleep(PAUSE_SECONDS)


FAULT = FaultKind(
    name="runtime_stop",
    hand=Hand.HOST,
    target="node",
    summary="Stop the container runtime of nodes: their pods run on, and nothing is started, ended or looked at there.",
    evidence="the node's kubelet answers and lists no containers, or the node says that its runtime is down",
    healed_when="the kubelet lists its containers, the node is ready and so are its pods",
    disturbs=frozenset({Disturbance.CAPACITY, Disturbance.CONTROL_PLANE}),
    reaches=nodes.reaches,
    undo=undo,
    inject=inject,
    felt=felt,
    heal=by_hand,
    healed=healed,
)
