"""The processes of the control plane as faults see them: static pods, one of each kind on each of its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from harness.cluster import paths
from harness.errors import ApiError, ClusterUnreachable, InjectionFailed
from harness.model.plan import PlannedFault, Victim
from harness.targets.kind import Object, Search
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import is_ready

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

NAMESPACE = "kube-system"
# Each of these renews a Lease of its own name every 2 s, and gives up what it could not renew for 10 s (client-go).
LEADERS = ("kube-scheduler", "kube-controller-manager")
ANSWER_SECONDS, RENEWED_SECONDS = 1.0, 4.0
PAUSE_SECONDS = 0.25


async def find(search: Search) -> list[tuple[Victim, Object]]:
    """Find the static pods of a component, by the label that kubeadm gives them."""
    found = await search.kube.list(paths.pods(NAMESPACE), labels=f"component={search.target.component}")
    found.sort(key=lambda pod: str(pod["metadata"]["name"]))
    return [(_victim(search.target.component, pod), pod) for pod in found]


def _victim(component: str, pod: Object) -> Victim:
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    path, node = paths.pods(NAMESPACE, name), pod["spec"]["nodeName"]
    return Victim("component", name, uid, node=node, owner=f"Pod/{name}", container=component, path=path)


async def prepare(fault: PlannedFault, reach: Reach) -> Object:
    """Read the component's pod; raises InjectionFailed where it is another, or not well to begin with."""
    pod = await reach.kube.get(fault.victim.path)
    if pod["metadata"]["uid"] != fault.victim.uid or not is_ready(pod) or not await answers(reach.kube):
        raise InjectionFailed("the control plane is not as it was planned, or not well", where=str(fault.victim))
    return pod


async def answers(kube: Kube) -> bool:
    """Say whether the API server returns within a second what only its store has."""
    with anyio.move_on_after(ANSWER_SECONDS):
        try:
            await kube.get(paths.namespace(NAMESPACE))
        except (ApiError, ClusterUnreachable):
            return False
        return True
    return False


async def missed(kube: Kube, component: str) -> Facts | None:
    """Look for what the API server's callers, or those of a leader's Lease, miss now; None where it is all there."""
    if component not in LEADERS:
        return None if await answers(kube) else {"request": f"no answer within {ANSWER_SECONDS:g} s"}
    before = await _version(kube, component)
    await anyio.sleep(RENEWED_SECONDS)
    renewed = await _version(kube, component) != before
    return None if renewed else {"lease": f"not renewed for {RENEWED_SECONDS:g} s"}


async def whole(kube: Kube) -> Facts:
    """Wait until every leader renews its Lease: the API server answers, its store writes, and they are at work."""
    before: dict[str, str] = {}
    waiting = set(LEADERS)
    while waiting:
        for name in sorted(waiting):
            try:
                now = await _version(kube, name)
            except (ApiError, ClusterUnreachable) as error:
                if isinstance(error, ApiError) and error.status < 500:
                    raise
                continue
            if before.setdefault(name, now) != now:
                waiting.discard(name)
        await anyio.sleep(PAUSE_SECONDS)
    return {"leases": "renewed"}


async def _version(kube: Kube, name: str) -> str:
    lease = await kube.get(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{name}")
    return str(lease["metadata"]["resourceVersion"])
