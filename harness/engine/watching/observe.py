"""Watch the namespaces of a run from before the first fault until after the last: readiness, budgets, pods, events.

Every change becomes a sample in the journal the moment the API server tells of it; nothing is polled. What is out of
sight is None.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from harness.cluster import paths
from harness.cluster.kube import Items, Kube
from harness.engine.watching.readiness import Readiness
from harness.errors import ApiError, ClusterUnreachable
from harness.workloads import Owners, Wanted, Workload, census, kinds, releases

Emit = Callable[..., None]
RETRY_SECONDS = 0.5
BUDGET = {"allowed": "disruptionsAllowed", "healthy": "currentHealthy", "desired": "desiredHealthy"}


async def workloads(kube: Kube, namespace: str, emit: Emit, readiness: Readiness) -> None:
    """Sample the ready pods of each workload, by ownership, and each pod, until cancelled.

    A workload is known once a pod of its was seen. `desired` is told where a field says it whose meaning is known, else
    a digest of its `spec`: when that changes, nobody knows what it wants.
    """
    owners, followed = Owners(kube), set[str]()

    def tell(workload: Workload, ready: int, wanted: Wanted) -> None:
        desired = wanted.number if wanted.sure else None
        labels = {"spec": wanted.spec} if wanted.spec else {} if desired is None else {"desired": str(desired)}
        emit("sample", series=f"ready/{workload.key}", value=ready, labels=labels)
        # A Job ends: nobody waits for it to be complete.
        if workload.what == kinds.JOB or wanted == census.NOTHING:
            readiness.forget(workload.key)
        else:
            readiness.report(workload.key, ready, desired)

    def follow(workload: Workload) -> None:
        if workload.collection and workload.collection not in followed:
            followed.add(workload.collection)
            together.start_soon(_owners, kube, workload.collection, counts)

    counts = census.Census(owners, tell, follow)
    async with anyio.create_task_group() as together:
        await _pods(kube, namespace, emit, readiness, counts)


async def _owners(kube: Kube, collection: str, counts: census.Census) -> None:
    async def listed(items: Items) -> None:
        counts.owners_listed(collection, items)

    # Where nobody may look, what a workload had before is all that is known of what it wants.
    await follow(kube, collection, counts.owner, listed=listed, may_be_hidden=True)


async def budgets(kube: Kube, namespace: str, emit: Emit) -> None:
    """Sample each PodDisruptionBudget's arithmetic until cancelled."""
    known: dict[str, None] = {}

    def sample(name: str, status: Mapping[str, Any] | None) -> None:
        for short, field in BUDGET.items():
            value = None if status is None else status.get(field, 0)
            emit("sample", series=f"pdb/{namespace}/{name}/{short}", value=value, labels={})

    def lost(_: str) -> None:
        for name in known:
            sample(name, None)

    async def note(kind: str, item: Mapping[str, Any]) -> None:
        name = item["metadata"]["name"]
        if kind == "DELETED":
            known.pop(name, None)
            sample(name, None)
            return
        known[name] = None
        sample(name, item.get("status", {}) if kinds.current(item) else None)

    await follow(kube, f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets", note, lost=lost)


async def _pods(kube: Kube, namespace: str, emit: Emit, readiness: Readiness, counts: census.Census) -> None:
    """Sample whether each pod is ready, count it for its workload, and tell of each container that ended.

    A pod is told of when its readiness changes, not at each word of its kubelet's; one that went is not ready.
    """
    known: dict[str, tuple[bool, str]] = {}
    ended: set[str] | None = None

    def sample(name: str, ready: bool | None, **labels: str) -> None:
        emit("sample", series=f"pod/{namespace}/{name}", value=None if ready is None else float(ready), labels=labels)

    async def listed(items: Items) -> None:
        nonlocal ended
        for name in set(known) - {item["metadata"]["name"] for item in items}:
            tell("DELETED", {"metadata": {"name": name}})
        if ended is None:
            # What ended before the run began is none of its business.
            ended = {end["containerID"] for item in items for _, end in _ends(item)}
        emit("sample", series=f"workloads/{namespace}", value=await counts.listed(items), labels={})
        readiness.seen(namespace)

    def lost(why: str) -> None:
        readiness.lost(namespace, why)
        for series in (f"workloads/{namespace}", *(f"ready/{key}" for key in counts.lost())):
            emit("sample", series=series, value=None, labels={})
        for name in known:
            sample(name, None)
        known.clear()

    async def note(kind: str, item: Mapping[str, Any]) -> None:
        await counts.pod(kind, item)
        tell(kind, item)

    def tell(kind: str, item: Mapping[str, Any]) -> None:
        name = item["metadata"]["name"]
        if kind == "DELETED":
            if known.pop(name, None):
                sample(name, False, gone="yes")
            return
        conditions = item.get("status", {}).get("conditions", ())
        now = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        state = now, str(item.get("status", {}).get("podIP", ""))
        if known.get(name) != state:
            known[name] = state
            release = (item["metadata"].get("labels") or {}).get(releases.RELEASE)
            sample(name, now, ip=state[1], **({"release": release} if release else {}))
        for container, end in _ends(item):
            if ended is None or end["containerID"] in ended:
                continue
            ended.add(end["containerID"])
            # A container that ends with its pod, as it was told to, is no restart.
            if not item["metadata"].get("deletionTimestamp"):
                emit(
                    "restart",
                    **{"namespace": namespace, "pod": name, "container": container},
                    **{"reason": end.get("reason", ""), "exit_code": end.get("exitCode")},
                )

    await follow(kube, paths.pods(namespace), note, listed=listed, lost=lost)


def _ends(item: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """List the ends of a pod's containers: their names, and how each ended last."""
    status = item.get("status", {})
    return [
        (container["name"], end)
        for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
        for state in ("lastState", "state")
        if (end := container.get(state, {}).get("terminated")) and end.get("containerID")
        # What prepares a pod ends well once.
        if container["restartCount"] or end.get("exitCode")
    ]


async def events(kube: Kube, namespace: str, emit: Emit) -> None:
    """Copy the namespace's new Kubernetes events into the journal until cancelled."""

    async def note(kind: str, item: Mapping[str, Any]) -> None:
        about = item.get("involvedObject", {})
        if kind == "DELETED":
            return
        emit(
            "k8s.event",
            kind=about.get("kind", ""),
            name=about.get("name", ""),
            namespace=namespace,
            reason=item.get("reason", ""),
            message=str(item.get("message", ""))[:300],
        )

    await follow(kube, f"/api/v1/namespaces/{namespace}/events", note, skip_existing=True)


async def follow(
    kube: Kube,
    path: str,
    note: Callable[[str, Mapping[str, Any]], Awaitable[None]],
    *,
    listed: Callable[[Items], Awaitable[None]] | None = None,
    lost: Callable[[str], None] | None = None,
    skip_existing: bool = False,
    may_be_hidden: bool = False,
) -> None:
    """Watch for ever; a watch that breaks (410, API server away) starts over from the present.

    `listed` is told what a look found, `lost` once and why, when the collection went out of sight. One that
    `may_be_hidden` is given up where it is forbidden or not there.
    """
    in_sight = True
    while True:
        try:
            if skip_existing:
                # One item is enough to learn the present version; there may be thousands of old ones.
                version = str((await kube.get(path, limit=1))["metadata"]["resourceVersion"])
            else:
                items, version = await kube.list_at(path)
                in_sight = True
                if listed:
                    await listed(items)
                for item in items:
                    await note("ADDED", item)
            async for kind, item in kube.watch(path, since=version):
                await note(kind, item)
        except (ApiError, ClusterUnreachable) as error:
            if may_be_hidden and isinstance(error, ApiError) and error.status in (403, 404, 405):
                return
            if in_sight and lost:
                lost(error.what)
            in_sight = False
            await anyio.sleep(RETRY_SECONDS)
