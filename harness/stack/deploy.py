"""Bring the stack to one overlay's state from whatever state it is in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread

from harness.cluster.build import images
from harness.cluster.cache import Progress, locked
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.stack import apply, istio, overlays, ready, render, renew, source


async def up(cluster: LocalCluster, progress: Progress, overlay: str = "kind") -> None:
    """Deploy an overlay and wait until it answers; about a second when it already does."""
    overlays.check(overlay)
    key = source.key(overlay)
    async with _alone(progress), Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        before = await apply.inventory(kube)
        kept = render.kept(key) if before.get("key") == key else []
        if kept:
            # Nothing of it is new, but somebody may have changed or removed a part.
            await apply.apply(kube, kept)
            await renew.pods_in_back_off(kube, cluster, kept, progress)
            if await ready.well(kube, kept):
                return
        built = await anyio.to_thread.run_sync(_images, cluster, progress)
        progress(f"deploying the stack, overlay {overlay}: about 40 s")
        objects = await anyio.to_thread.run_sync(render.objects, cluster, overlay, built)
        definitions = await anyio.to_thread.run_sync(istio.definitions, progress)
        wanted = [*definitions, *objects]
        known, paths = apply.paths(before), [apply.path(item) for item in wanted]
        # What was and what shall be, until the old is gone: an `up` that is cut short is not taken for done.
        either = list(dict.fromkeys([*known, *paths]))
        if known:
            await apply.remember(kube, either, "", overlay)
        await apply.apply(kube, wanted)
        await apply.remember(kube, either, "", overlay)
        await apply.prune(kube, [path for path in known if path not in paths])
        # Where its template is as before, a Deployment keeps its pods.
        await renew.pods_in_back_off(kube, cluster, wanted, progress)
        await ready.wait(kube, wanted)
        await anyio.to_thread.run_sync(render.keep, key, wanted)
        await apply.remember(kube, paths, key, overlay)


@asynccontextmanager
async def _alone(progress: Progress) -> AsyncIterator[None]:
    # In a thread: a wait for another command must not keep Ctrl-C from getting through.
    lock = locked("stack", progress)
    await anyio.to_thread.run_sync(lock.__enter__, abandon_on_cancel=True)
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def _images(cluster: LocalCluster, progress: Progress) -> dict[str, str]:
    tags = {}
    for name, folder in source.IMAGES.items():
        with source.context(folder, progress) as context:
            tags[name] = images.build(progress, cluster, folder, context, estimate=30)
    images.load(progress, cluster, list(tags.values()))
    return tags
