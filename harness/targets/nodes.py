"""Nodes as faults see them: cordoned, answering, ready, and the pods on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import anyio

from harness.cluster import observe, paths
from harness.cluster.observe import Objects
from harness.errors import ApiError, ClusterUnreachable, InjectionFailed
from harness.model.fault import Undo
from harness.model.plan import PlannedFault
from harness.targets import pods
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import controller, is_done, is_going, is_static
from harness.workloads.pod import is_ready as pod_is_ready

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

CORDONED_BY = "chaos.harness.dev/cordoned-by"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
ANSWER_SECONDS = 1.5
PAUSE_SECONDS = 0.25
UNREADY = "the node is not ready to begin with"

# $1 node, $2 fault. A node that is gone, or that this fault did not cordon, is as it was found.
_UNCORDON = r"""
k='kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=5s'
path='{.metadata.annotations.chaos\.harness\.dev/cordoned-by}'
by=$($k get node "$1" --ignore-not-found -o "jsonpath=$path") || exit 1
[ "$by" = "$2" ] || exit 0
$k patch node "$1" --type=merge \
  -p '{"metadata":{"annotations":{"chaos.harness.dev/cordoned-by":null}},"spec":{"unschedulable":null}}'
"""


async def read(kube: Kube, fault: PlannedFault) -> dict[str, Any]:
    """Read the fault's node; raises InjectionFailed when it is gone, replaced or part of the control plane."""
    victim = fault.victim
    try:
        node = await kube.get(paths.nodes(victim.name))
    except ApiError as error:
        if error.status == 404:
            raise InjectionFailed("the node is gone", where=victim.name) from error
        raise
    if victim.uid and node["metadata"]["uid"] != victim.uid:
        raise InjectionFailed("the node was replaced between plan and inject", where=victim.name)
    if CONTROL_PLANE in (node["metadata"].get("labels") or {}):
        raise InjectionFailed("this fault does not touch the control plane", where=victim.name)
    return node


def is_ready(node: dict[str, Any]) -> bool:
    """Say whether the node's Ready condition is True."""
    conditions = node.get("status", {}).get("conditions") or []
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def containers(pod: Mapping[str, Any]) -> set[str]:
    """Return the ids of a pod's containers."""
    return {str(item.get("containerID")) for item in pod.get("status", {}).get("containerStatuses") or []}


async def on(kube: Kube, node: str) -> list[dict[str, Any]]:
    """List the pods of a node."""
    return await kube.list("/api/v1/pods", fields=f"spec.nodeName={node}")


def movable(pod: Mapping[str, Any]) -> bool:
    """Say whether a pod lives on after its node: no DaemonSet pod, no static pod, none that is going or done."""
    reference = controller(pod)
    if is_static(pod) or is_going(pod) or is_done(pod):
        return False
    return reference is None or reference["kind"] != "DaemonSet"


def reaches(parameters: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """Say whether a pod shares its node's fate: every one that could live on elsewhere."""
    return movable(pod)


def keeps_data(pod: Mapping[str, Any]) -> bool:
    """Say whether a pod would lose what it keeps on its node."""
    return any("emptyDir" in volume for volume in pod.get("spec", {}).get("volumes") or [])


def require_planned(fault: PlannedFault, victims: Iterable[Mapping[str, Any]]) -> None:
    """Refuse to make pods leave the fault's node that its plan does not name; raises InjectionFailed."""
    planned = {pod.uid for pod in fault.takes}
    if later := [pod["metadata"] for pod in victims if pod["metadata"]["uid"] not in planned]:
        names = ", ".join(sorted(f"{one['namespace']}/{one['name']}" for one in later))
        raise InjectionFailed(f"pods would leave that the plan does not name: {names}", where=fault.victim.name)


async def require_replaced(fault: PlannedFault, reach: Reach, victims: Iterable[Mapping[str, Any]], hint: str) -> None:
    """Refuse to make pods leave the fault's node of which one would be lost for good; raises InjectionFailed."""
    for pod in victims:
        if why := await pods.lost_for_good(reach.owners, pod, Fate.EVICTED):
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            raise InjectionFailed(f"{pods.LOST}: {name}", where=fault.victim.name, why=why, hint=hint)


# -- cordon ---------------------------------------------------------------------------------------------------------


def uncordon(fault: PlannedFault, reach: Reach) -> Undo:
    """Return the undo of a cordon, for kubectl in the control-plane container; [] on a cluster that is not ours.

    It uncordons only a node that this very fault cordoned, so it is safe before, after and instead of the effect.
    """
    if reach.cluster is None:
        return []
    argv = ["sh", "-c", _UNCORDON.strip(), "sh", fault.victim.name, fault.id]
    return [{"op": "exec", "container": reach.cluster.control_plane, "argv": argv}]


async def cordon(fault: PlannedFault, reach: Reach) -> None:
    """Cordon the node and sign it; one that is cordoned already is refused: the undo would change what was found."""
    for _ in range(5):
        node = await read(reach.kube, fault)
        if node.get("spec", {}).get("unschedulable"):
            raise InjectionFailed(
                "the node is cordoned already",
                where=fault.victim.name,
                why="healing this fault would uncordon it, which is not how it was found",
                hint=f"kubectl uncordon {fault.victim.name}, or aim at another node",
            )
        await reach.guard()
        metadata = {"resourceVersion": node["metadata"]["resourceVersion"], "annotations": {CORDONED_BY: fault.id}}
        try:
            await reach.kube.patch(
                paths.nodes(fault.victim.name), {"metadata": metadata, "spec": {"unschedulable": True}}
            )
            return
        except ApiError as error:
            # A kubelet's status update in between is read again: whoever cordons meanwhile must win.
            if error.status != 409:
                raise
    raise InjectionFailed("the node changes too fast to be cordoned safely", where=fault.victim.name)


async def ask_uncordon(fault: PlannedFault, reach: Reach) -> None:
    """Uncordon the node if this fault cordoned it; the healer does it when the API server does not answer us."""
    try:
        node = await reach.kube.get(paths.nodes(fault.victim.name))
        if (node["metadata"].get("annotations") or {}).get(CORDONED_BY) == fault.id:
            body = {"metadata": {"annotations": {CORDONED_BY: None}}, "spec": {"unschedulable": None}}
            await reach.kube.patch(paths.nodes(fault.victim.name), body)
    except (ApiError, ClusterUnreachable) as error:
        if isinstance(error, ApiError) and error.status == 404:
            return
        if not reach.healer.own:
            raise
        await reach.by(fault).heal(fault.id)


async def cordoned(fault: PlannedFault, reach: Reach, *, want: bool) -> Facts:
    """Wait until the node is (or is no longer) unschedulable and tainted so."""

    async def judge(objects: Objects) -> Facts | None:
        for node in objects.values():
            spec = node.get("spec", {})
            tainted = any(taint["key"] == "node.kubernetes.io/unschedulable" for taint in spec.get("taints") or [])
            if bool(spec.get("unschedulable")) == want and tainted == want:
                return {"unschedulable": want, "tainted": tainted}
        return None if objects else {"node": "gone"}

    return await observe.until(reach.kube, paths.nodes(), judge, fields=f"metadata.name={fault.victim.name}")


# -- answering ---------------------------------------------------------------------------------------------------------


async def answers(kube: Kube, node: str) -> bool:
    """Ask the node's kubelet for its health through the API server, which must answer itself."""
    with anyio.move_on_after(ANSWER_SECONDS):
        try:
            await kube.get_text(f"/api/v1/nodes/{node}/proxy/healthz")
            return True
        except ApiError as error:
            if error.status in (401, 403, 404):
                raise
    # A silent API server says nothing about the node.
    await kube.get_text("/readyz")
    return False


async def standing(fault: PlannedFault, reach: Reach) -> dict[str, Any]:
    """Read the node, which must be Ready, and note its ready pods, before anything is done to it."""
    node = await read(reach.kube, fault)
    if not is_ready(node):
        raise InjectionFailed(UNREADY, where=fault.victim.name)
    ready = [pod for pod in await on(reach.kube, fault.victim.name) if pod_is_ready(pod)]
    # One fault may have several nodes.
    reach.note(fault).setdefault("ready", {}).update({pod["metadata"]["uid"]: containers(pod) for pod in ready})
    return node


async def prepare(fault: PlannedFault, reach: Reach) -> dict[str, Any]:
    """Prepare as above, and see that the node's kubelet answers."""
    node = await standing(fault, reach)
    if not await answers(reach.kube, fault.victim.name):
        raise InjectionFailed(UNREADY, where=fault.victim.name)
    return node


async def prepare_container(fault: PlannedFault, reach: Reach) -> dict[str, Any]:
    """Prepare as above, and return the state of the node's container; raises InjectionFailed where it does not run."""
    hand = reach.by(fault)
    await prepare(fault, reach)
    state = await hand.inspect(reach.container(fault.victim.name))
    if state["paused"] or not state["running"]:
        raise InjectionFailed("the node's container is not running to begin with", where=fault.victim.name)
    return state


async def silent(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the kubelet twice leaves the API server without an answer, or the node is not Ready any more."""
    name, misses = fault.victim.name, 0
    while True:
        try:
            misses = 0 if await answers(reach.kube, name) else misses + 1
            node = await reach.kube.get(paths.nodes(name))
        except (ClusterUnreachable, ApiError) as error:
            if isinstance(error, ApiError) and error.status < 500:
                raise
            misses = 0
        else:
            if misses >= 2 or not is_ready(node):
                return {"kubelet": "silent" if misses else "answers", "ready": is_ready(node)}
        await anyio.sleep(PAUSE_SECONDS)


async def back(fault: PlannedFault, reach: Reach, *, restarted: bool = False) -> Facts:
    """Wait until the kubelet answers, and node and pods are whole."""
    while not await _answers_now(reach.kube, fault.victim.name):
        await anyio.sleep(PAUSE_SECONDS)
    return await whole(fault, reach, restarted=restarted)


async def whole(fault: PlannedFault, reach: Reach, *, restarted: bool = False) -> Facts:
    """Wait until the node is Ready and the pods that were ready on it are, or have left it.

    With `restarted` a pod counts only when its containers are new ones: what the API shows at first is stale.
    """

    async def node_ready(objects: Objects) -> Facts | None:
        return {"ready": True} if any(is_ready(node) for node in objects.values()) else None

    facts = await observe.until(reach.kube, paths.nodes(), node_ready, fields=f"metadata.name={fault.victim.name}")
    wanted: dict[str, set[str]] = reach.note(fault).get("ready", {})

    def late(uid: str, pod: Mapping[str, Any]) -> bool:
        if is_done(pod) or is_going(pod):
            return False
        return not pod_is_ready(pod) or (restarted and bool(wanted[uid] & containers(pod)))

    async def pods_ready(objects: Objects) -> Facts | None:
        stayed = wanted.keys() & objects.keys()
        return None if any(late(uid, objects[uid]) for uid in stayed) else {"pods_ready": len(stayed)}

    facts |= await observe.until(reach.kube, "/api/v1/pods", pods_ready, fields=f"spec.nodeName={fault.victim.name}")
    return facts


async def _answers_now(kube: Kube, name: str) -> bool:
    try:
        return await answers(kube, name)
    except ClusterUnreachable:
        return False
    except ApiError as error:
        if error.status < 500:
            raise
        return False
