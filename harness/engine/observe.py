"""Watch the namespaces of a run from before the first fault until after the last: readiness, budgets, pods, events.

Every change becomes a sample in the journal the moment the API server tells of it; nothing is polled. What is out of
sight, or not told for the present specification, is None.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import anyio

from harness.cluster import kube as paths
from harness.cluster.kube import Items, Kube
from harness.errors import ApiError, ClusterUnreachable

Emit = Callable[..., None]
RETRY_SECONDS = 0.5
BUDGET = {"allowed": "disruptionsAllowed", "healthy": "currentHealthy", "desired": "desiredHealthy"}


class Readiness:
    """The last reported readiness of every Deployment under observation; what was not seen is not ready."""

    def __init__(self, namespaces: Iterable[str]) -> None:
        self._unseen = dict.fromkeys(namespaces, "")
        self._seen: dict[str, tuple[int | None, int]] = {}
        self._changed = anyio.Event()

    def listed(self, namespace: str, keys: Collection[str]) -> list[str]:
        """Note that a namespace is in sight with these Deployments; return those that went since it last was."""
        gone = [key for key in self.of(namespace) if key not in keys]
        for key in gone:
            del self._seen[key]
        self._unseen.pop(namespace, None)
        self._wake()
        return gone

    def lost(self, namespace: str, why: str) -> None:
        """Note that a namespace is out of sight."""
        self._unseen[namespace] = why

    def of(self, namespace: str) -> list[str]:
        """List the Deployments that were seen in a namespace."""
        return [key for key in self._seen if key.startswith(f"{namespace}/")]

    def report(self, key: str, ready: int | None, desired: int) -> None:
        """Note one Deployment's state (None: not known yet) and wake whoever waits for it."""
        self._seen[key] = (ready, desired)
        self._wake()

    def forget(self, key: str) -> None:
        """Drop a Deployment that was deleted."""
        self._seen.pop(key, None)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    @property
    def short(self) -> list[str]:
        """Name the namespaces that are out of sight, and the Deployments with fewer ready replicas than they want."""
        unseen = [
            f"{namespace}: Deployments not seen" + (why and f" ({why})") for namespace, why in self._unseen.items()
        ]
        return unseen + [
            f"{key} {'not known' if ready is None else ready} of {desired} ready"
            for key, (ready, desired) in sorted(self._seen.items())
            if ready is None or ready < desired
        ]

    async def complete(self) -> None:
        """Return as soon as every namespace is in sight and every Deployment has what it wants."""
        while self.short:
            await self._changed.wait()


async def deployments(kube: Kube, namespace: str, emit: Emit, readiness: Readiness) -> None:
    """Sample each Deployment's ready replicas until cancelled, and how many Deployments each look found."""

    def sample(key: str, ready: int | None, desired: int) -> None:
        emit("sample", series=f"ready/{key}", value=ready, labels={"desired": str(desired)})

    def listed(items: Items) -> None:
        emit("sample", series=f"deployments/{namespace}", value=len(items), labels={})
        for key in readiness.listed(namespace, [f"{namespace}/{item['metadata']['name']}" for item in items]):
            sample(key, 0, 0)

    def lost(why: str) -> None:
        readiness.lost(namespace, why)
        for series in (f"deployments/{namespace}", *(f"ready/{key}" for key in readiness.of(namespace))):
            emit("sample", series=series, value=None, labels={})

    def note(kind: str, item: Mapping[str, Any]) -> None:
        key = f"{namespace}/{item['metadata']['name']}"
        if kind == "DELETED":
            readiness.forget(key)
            sample(key, 0, 0)
            return
        ready = item.get("status", {}).get("readyReplicas", 0) if _current(item) else None
        desired = item["spec"].get("replicas", 1)
        readiness.report(key, ready, desired)
        sample(key, ready, desired)

    await _follow(kube, paths.deployments(namespace), note, listed=listed, lost=lost)


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

    def note(kind: str, item: Mapping[str, Any]) -> None:
        name = item["metadata"]["name"]
        if kind == "DELETED":
            known.pop(name, None)
            return
        known[name] = None
        sample(name, item.get("status", {}) if _current(item) else None)

    await _follow(kube, f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets", note, lost=lost)


def _current(item: Mapping[str, Any]) -> bool:
    """Say whether an object's status is about its present specification."""
    return bool(item.get("status", {}).get("observedGeneration") == item["metadata"].get("generation"))


async def pods(kube: Kube, namespace: str, emit: Emit) -> None:
    """Sample whether each pod is ready, and tell of each container that ended, until cancelled.

    A pod is told of when its readiness changes, not at each word of its kubelet's; one that went is not ready.
    """
    known: dict[str, tuple[bool, str]] = {}
    ended: set[str] | None = None

    def sample(name: str, ready: bool | None, **labels: str) -> None:
        emit("sample", series=f"pod/{namespace}/{name}", value=None if ready is None else float(ready), labels=labels)

    def listed(items: Items) -> None:
        nonlocal ended
        for name in set(known) - {item["metadata"]["name"] for item in items}:
            note("DELETED", {"metadata": {"name": name}})
        if ended is None:
            # What ended before the run began is none of its business.
            ended = {end["containerID"] for item in items for _, end in _ends(item)}

    def lost(_: str) -> None:
        for name in known:
            sample(name, None)
        known.clear()

    def note(kind: str, item: Mapping[str, Any]) -> None:
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
            sample(name, now, ip=state[1])
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

    await _follow(kube, paths.pods(namespace), note, listed=listed, lost=lost)


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

    def note(kind: str, item: Mapping[str, Any]) -> None:
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

    await _follow(kube, f"/api/v1/namespaces/{namespace}/events", note, skip_existing=True)


async def _follow(
    kube: Kube,
    path: str,
    note: Callable[[str, Mapping[str, Any]], None],
    *,
    listed: Callable[[Items], None] | None = None,
    lost: Callable[[str], None] | None = None,
    skip_existing: bool = False,
) -> None:
    """Watch for ever; a watch that breaks (410, API server away) starts over from the present.

    `listed` is told what a look found, `lost` once and why, when the collection went out of sight.
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
                    listed(items)
                for item in items:
                    note("ADDED", item)
            async for kind, item in kube.watch(path, since=version):
                note(kind, item)
        except (ApiError, ClusterUnreachable) as error:
            if in_sight and lost:
                lost(error.what)
            in_sight = False
            await anyio.sleep(RETRY_SECONDS)
