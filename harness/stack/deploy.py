"""Bring the stack to one overlay's state from whatever state it is in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio.to_thread

from harness.cluster.build import images
from harness.cluster.cache import Progress, locked
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.stack import apply, istio, overlays, parts, ready, render, renew, source


async def up(cluster: LocalCluster, progress: Progress, overlay: str = "kind", named: Sequence[str] = ()) -> None:
    """Deploy an overlay with these parts alone and wait until it answers; about a second when it already does."""
    overlays.check(overlay)
    wanted_parts = parts.closed([*named, *overlays.part_names(overlay)])
    key = source.key(overlay, wanted_parts)
    async with _alone(progress), Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        before = await apply.inventory(kube)
        kept = render.kept(key) if before.get("key") == key else []
        if kept:
            # Nothing of it is new, but somebody may have changed or removed a part.
            await apply.apply(kube, kept)
            await renew.pods_in_back_off(kube, cluster, kept, progress)
            if await ready.well(kube, kept):
                return
        built = await anyio.to_thread.run_sync(_images, cluster, wanted_parts, progress)
        progress(f"deploying the stack, {_told(overlay, wanted_parts)}: about 40 s")
        objects = await anyio.to_thread.run_sync(render.objects, cluster, overlay, wanted_parts, built, progress)
        definitions = await anyio.to_thread.run_sync(istio.definitions, progress)
        wanted = [*definitions, *objects]
        known, paths = apply.paths(before), [apply.path(item) for item in wanted]
        # What was and what shall be, until the old is gone: an `up` that is cut short is not taken for done.
        either = list(dict.fromkeys([*known, *paths]))
        if known:
            await apply.remember(kube, either, "", overlay, wanted_parts)
        await apply.apply(kube, wanted)
        await apply.remember(kube, either, "", overlay, wanted_parts)
        gone = [path for path in known if path not in paths]
        if any(map(_keeps_pods, gone)):
            # Whoever takes its pods' place serves before they go.
            await ready.wait(kube, wanted)
        await apply.prune(kube, gone)
        # Where its template is as before, a Deployment keeps its pods.
        await renew.pods_in_back_off(kube, cluster, wanted, progress)
        await ready.wait(kube, wanted)
        await anyio.to_thread.run_sync(render.keep, key, wanted)
        await apply.remember(kube, paths, key, overlay, wanted_parts)


async def down(cluster: LocalCluster, progress: Progress, gone: Sequence[str]) -> None:
    """Take parts away and leave the rest as it is; nothing where they are not there. Raises UsageError."""
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        before = await apply.inventory(kube)
    there = tuple(before.get("parts", parts.CORE).split(","))
    stay = parts.without(there, gone)
    if stay == there and before.get("key"):
        return
    overlay = before.get("overlay", "kind")
    await up(cluster, progress, "kind" if {*overlays.part_names(overlay)} & {*gone} else overlay, stay)


def _keeps_pods(path: str) -> bool:
    return path.split("/")[-2] in ("deployments", "rollouts")


def _told(overlay: str, wanted: Sequence[str]) -> str:
    return f"overlay {overlay}" + (f", parts {', '.join(wanted)}" if len(wanted) > 1 else "")


@asynccontextmanager
async def _alone(progress: Progress) -> AsyncIterator[None]:
    # In a thread: a wait for another command must not keep Ctrl-C from getting through.
    lock = locked("stack", progress)
    await anyio.to_thread.run_sync(lock.__enter__, abandon_on_cancel=True)
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def _images(cluster: LocalCluster, wanted: Sequence[str], progress: Progress) -> dict[str, str]:
    tags = {}
    for name, folder in source.images(wanted).items():
        with source.context(folder, progress) as context:
            tags[name] = images.build(progress, cluster, folder, context, estimate=30)
    images.load(progress, cluster, list(tags.values()))
    return tags
