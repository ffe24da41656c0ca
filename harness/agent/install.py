"""Put the agents into a cluster, and take them out again."""

from __future__ import annotations

from typing import Any

import anyio

from harness.agent import image, manifest
from harness.cluster import stopping
from harness.cluster.cache import Progress
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.errors import ApiError, PreconditionFailed

READY_SECONDS = 90.0
LOOK_SECONDS = 0.5
_DAEMON_SET = f"/apis/apps/v1/namespaces/{manifest.NAMESPACE}/daemonsets/{manifest.NAME}"
_MANAGER = "harness-agent"


async def install(kube: Kube, cluster: LocalCluster | None, given: str, progress: Progress) -> str:
    """Have an agent of this version on every node, and return its image.

    The image is built for the local cluster; elsewhere it must be given. Raises PreconditionFailed when that is
    missing, when a right lacks, or when the agents do not become ready.
    """
    given = await _put(kube, cluster, given, progress)
    await ready(kube, progress)
    return given


async def _put(kube: Kube, cluster: LocalCluster | None, given: str, progress: Progress) -> str:
    if not given and cluster is None:
        raise PreconditionFailed(
            "no image for the agents",
            why="only the local cluster gets the one that is built here",
            hint="`harness agent image` writes down what to build; name the result with --image",
        )
    if cluster is not None and not given:
        given = await stopping.in_thread(image.ensure, cluster, progress)
    for item in manifest.objects(given):
        try:
            await kube.patch(manifest.path(item), item, kind="apply", fieldManager=_MANAGER, force="true")
        except ApiError as error:
            raise PreconditionFailed(
                f"the API server refused {item['kind']} {item['metadata']['name']}",
                why=str(error),
                hint="whoever installs the agents needs the rights of a cluster's administrator",
            ) from error
    return given


async def ensure(kube: Kube, cluster: LocalCluster, progress: Progress) -> None:
    """Put an agent of this version on every node of the local cluster; some milliseconds when they are there.

    They start meanwhile: `ready` waits for them.
    """
    wanted = manifest.objects(image.tag())[-1]["metadata"]["annotations"]
    try:
        found = await kube.get(_DAEMON_SET)
    except ApiError as error:
        if error.status != 404:
            raise
    else:
        applied = (found["metadata"].get("annotations") or {}).get(manifest.APPLIED)
        if applied == wanted[manifest.APPLIED] and _whole(found):
            return
    await _put(kube, cluster, "", progress)


async def remove(kube: Kube, *, force: bool) -> None:
    """Take the agents out; their namespace stays, for the runs' Lease is there.

    Raises PreconditionFailed while a fault is in their hand, unless forced: an agent that ends heals what it did, but
    one that is not there cannot.
    """
    pending = [] if force else await _pending(kube)
    if pending:
        raise PreconditionFailed(
            "the agents have work to do",
            where=", ".join(pending[:5]),
            why="faults of theirs are still in the cluster",
            hint="`harness undo` heals them; `harness agent remove --force` removes the agents all the same",
        )
    for item in reversed(manifest.objects("")):
        if item["kind"] != "Namespace":
            try:
                await kube.delete(manifest.path(item))
            except ApiError as error:
                if error.status != 404:
                    raise


async def _pending(kube: Kube) -> list[str]:
    found = []
    for kind in ("faults", "nodefaults"):
        try:
            items = await kube.list(f"/apis/{manifest.GROUP}/v1alpha1/{kind}")
        except ApiError as error:
            if error.status != 404:
                raise
            continue
        found += [str(item["metadata"]["name"]) for item in items if item["spec"].get("hand") == "node"]
    return found


async def ready(kube: Kube, progress: Progress) -> None:
    """Wait for an agent on every node; raises PreconditionFailed where one does not become ready."""
    if _whole(await kube.get(_DAEMON_SET)):
        return
    progress("waiting for an agent on every node")
    with anyio.move_on_after(READY_SECONDS):
        while True:
            if _whole(await kube.get(_DAEMON_SET)):
                return
            await anyio.sleep(LOOK_SECONDS)
    raise PreconditionFailed(
        "the agents do not become ready",
        where=f"{manifest.NAMESPACE}/{manifest.NAME}",
        why=f"after {READY_SECONDS:g} s",
        hint=f"`kubectl -n {manifest.NAMESPACE} describe daemonset {manifest.NAME}` and its pods say why",
    )


def _whole(found: dict[str, Any]) -> bool:
    """Say whether a ready pod of the newest kind is on every node."""
    status = found.get("status") or {}
    wanted, now = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
    current = status.get("observedGeneration") == found["metadata"]["generation"]
    return bool(current and wanted and now == wanted == status.get("numberReady", 0))
