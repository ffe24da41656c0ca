"""Replace the stack's pods that the kubelet would start again late, since what they would show is its back-off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import anyio

from harness.cluster import backoff
from harness.cluster.cache import Progress
from harness.cluster.kube import Kube, pods
from harness.stack import ready

# One kill more would wait 20 s; up to 10 s every experiment of the stack allows for.
LATE_SECONDS = 20.0
GONE_SECONDS = 60.0
RETRY_SECONDS = 1.0
REFUSED = 429


def late(pod: Mapping[str, Any], now: datetime) -> float:
    """Return the longest wait that a container of the pod has before it, in seconds; 0 when it is short."""
    if pod["metadata"].get("deletionTimestamp") or not pod["metadata"].get("ownerReferences"):
        return 0.0
    longest = max((backoff.expected(one, now) for one in backoff.statuses(pod)), default=0.0)
    return longest if longest >= LATE_SECONDS else 0.0


async def pods_in_back_off(kube: Kube, objects: Iterable[Mapping[str, Any]], progress: Progress) -> bool:
    """Evict such pods one by one, as their budgets allow, and wait until each is gone; say whether there were any."""
    found = False
    for namespace in ready.replicas(objects):
        for pod in await kube.list(pods(namespace)):
            wait = late(pod, datetime.now(UTC))
            if wait:
                found = True
                name = pod["metadata"]["name"]
                progress(f"replacing {name}: the kubelet would start its container again only after {wait:g} s")
                await _replace(kube, namespace, pod)
    return found


async def _replace(kube: Kube, namespace: str, pod: Mapping[str, Any]) -> None:
    metadata = pod["metadata"]
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": metadata["name"], "namespace": namespace},
        "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
    }
    path = pods(namespace, metadata["name"])
    with anyio.move_on_after(GONE_SECONDS):
        while True:
            status, _ = await kube.post(f"{path}/eviction", body)
            if status != REFUSED:
                break
            await anyio.sleep(RETRY_SECONDS)
        only = f"metadata.name={metadata['name']}"
        there, version = await kube.list_at(pods(namespace), fields=only)
        if any(one["metadata"]["uid"] == metadata["uid"] for one in there):
            async for kind, seen in kube.watch(pods(namespace), fields=only, since=version):
                if kind == "DELETED" and seen["metadata"]["uid"] == metadata["uid"]:
                    return
