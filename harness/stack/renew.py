"""Replace the stack's pods that the kubelet would start again late, since what they would show is its back-off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import anyio

from harness.cluster import backoff
from harness.cluster.cache import Progress
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.cluster.paths import pods
from harness.errors import PreconditionFailed
from harness.keeper import client
from harness.stack import ready

Object = Mapping[str, Any]
# One end more would be waited for that long; the 10 s before it every experiment of the stack allows for.
LATE_SECONDS = 20.0
GONE_SECONDS = 60.0
RETRY_SECONDS = 1.0
GRANTED, REFUSED, ABSENT = 201, 429, (404, 409)


async def pods_in_back_off(kube: Kube, cluster: LocalCluster, objects: Iterable[Object], progress: Progress) -> None:
    """Evict such pods of the stack's Deployments, each when the last one is replaced; what cannot be is told."""
    for deployment in [item for item in objects if item["kind"] == "Deployment"]:
        metadata, labels = deployment["metadata"], deployment["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        for pod in await kube.list(pods(metadata["namespace"]), labels=selector):
            wait = max((backoff.expected(one, datetime.now(UTC)) for one in backoff.statuses(pod)), default=0.0)
            if wait < LATE_SECONDS or pod["metadata"].get("deletionTimestamp"):
                continue
            if (await client.status(cluster.keeper_socket)).get("live"):
                return  # a run that began meanwhile breaks what is being mended here
            name = pod["metadata"]["name"]
            progress(f"replacing {name}: the kubelet would start its container again only after {wait:g} s")
            why = await _evict(kube, pod)
            if why:
                progress(f"{name} was not replaced: {why}")
                continue
            try:
                await ready.wait(kube, [deployment])
            except PreconditionFailed as error:
                progress(f"{name} was not replaced: {error.what}")


async def _evict(kube: Kube, pod: Object) -> str:
    """Evict a pod as its budget allows and wait until it is gone; return why it is not."""
    name, namespace, uid = (pod["metadata"][key] for key in ("name", "namespace", "uid"))
    why = "it does not end"
    with anyio.move_on_after(GONE_SECONDS):
        while True:
            status, answer = await kube.evict(pod)
            if status != REFUSED:
                break
            why = str(answer.get("message"))
            await anyio.sleep(RETRY_SECONDS)
        if status in ABSENT:
            return ""
        if status != GRANTED:
            return f"{status} {answer.get('message')}"
        only = f"metadata.name={name}"
        there, version = await kube.list_at(pods(namespace), fields=only)
        if uid not in [one["metadata"]["uid"] for one in there]:
            return ""
        why = "it does not end"
        async for kind, seen in kube.watch(pods(namespace), fields=only, since=version):
            if kind == "DELETED" and seen["metadata"]["uid"] == uid:
                return ""
    return f"{why} (after {GONE_SECONDS:g} s)"
