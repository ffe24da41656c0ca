"""Watch the namespaces of a run from before the first fault until after the last: readiness, budgets, events.

Every change becomes a sample in the journal the moment the API server tells of it; nothing is polled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import anyio

from harness.cluster import kube as paths
from harness.cluster.kube import Kube
from harness.errors import ApiError, ClusterUnreachable

Emit = Callable[..., None]
RETRY_SECONDS = 0.5


class Readiness:
    """The last reported readiness of every Deployment under observation."""

    def __init__(self, namespaces: Iterable[str]) -> None:
        self._namespaces = tuple(namespaces)
        self._seen: dict[str, tuple[int, int]] = {}
        self._changed = anyio.Event()

    def report(self, key: str, ready: int, desired: int) -> None:
        """Note one Deployment's state and wake whoever waits for it."""
        self._seen[key] = (ready, desired)
        self._changed.set()
        self._changed = anyio.Event()

    def forget(self, key: str) -> None:
        """Drop a Deployment that was deleted."""
        self._seen.pop(key, None)

    @property
    def short(self) -> list[str]:
        """Name the Deployments with fewer ready replicas than they want."""
        return [
            f"{key} {ready} of {desired} ready"
            for key, (ready, desired) in sorted(self._seen.items())
            if ready < desired
        ]

    async def complete(self) -> None:
        """Return as soon as every Deployment has what it wants."""
        while self.short:
            await self._changed.wait()


async def deployments(kube: Kube, namespace: str, emit: Emit, readiness: Readiness) -> None:
    """Sample each Deployment's ready replicas until cancelled."""

    def note(kind: str, item: Mapping[str, Any]) -> None:
        key = f"{namespace}/{item['metadata']['name']}"
        if kind == "DELETED":
            readiness.forget(key)
            return
        status, desired = item.get("status", {}), item["spec"].get("replicas", 1)
        current = status.get("observedGeneration") == item["metadata"].get("generation")
        ready = status.get("readyReplicas", 0) if current else 0
        readiness.report(key, ready, desired)
        emit("sample", series=f"ready/{key}", value=ready, labels={"desired": str(desired)})

    await _follow(kube, paths.deployments(namespace), note)


async def budgets(kube: Kube, namespace: str, emit: Emit) -> None:
    """Sample each PodDisruptionBudget's arithmetic until cancelled."""

    def note(kind: str, item: Mapping[str, Any]) -> None:
        if kind == "DELETED":
            return
        name, status = item["metadata"]["name"], item.get("status", {})
        numbers = {"allowed": "disruptionsAllowed", "healthy": "currentHealthy", "desired": "desiredHealthy"}
        for short, field in numbers.items():
            emit("sample", series=f"pdb/{namespace}/{name}/{short}", value=status.get(field, 0), labels={})

    await _follow(kube, f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets", note)


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
    kube: Kube, path: str, note: Callable[[str, Mapping[str, Any]], None], *, skip_existing: bool = False
) -> None:
    """Watch for ever; a watch that breaks (410, API server away) starts over from the present."""
    while True:
        try:
            if skip_existing:
                # One item is enough to learn the present version; there may be thousands of old ones.
                version = str((await kube.get(path, limit=1))["metadata"]["resourceVersion"])
            else:
                items, version = await kube.list_at(path)
                for item in items:
                    note("ADDED", item)
            async for kind, item in kube.watch(path, since=version):
                note(kind, item)
        except (ApiError, ClusterUnreachable):
            await anyio.sleep(RETRY_SECONDS)
