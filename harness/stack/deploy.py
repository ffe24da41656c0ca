"""Bring the stack to one overlay's state from whatever state it is in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
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
    async with _alone(progress), Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        foreign = await istio.foreign(kube)
        key = source.key(overlay, foreign)
        before = await apply.inventory(kube)
        kept = render.kept(key) if before.get("key") == key else []
        if kept and await apply.served(kube, kept):
            # Nothing of it is new, but somebody may have changed or removed a part. Definitions are large: they are
            # only asked for.
            await apply.apply(kube, [item for item in kept if item["kind"] != apply.DEFINITION])
            await renew.pods_in_back_off(kube, cluster, kept, progress)
            if await ready.well(kube, kept):
                return
        if foreign:
            progress(f"this cluster has an Istio, revision {foreign}: the gateway is that one's, and none is installed")
        wanted_images = source.IMAGES if foreign else source.IMAGES | source.ISTIO
        built = await anyio.to_thread.run_sync(_images, cluster, wanted_images, progress)
        mesh = [] if foreign else await anyio.to_thread.run_sync(istio.objects, built, progress)
        progress(f"deploying the stack, overlay {overlay}: about 50 s")
        objects = await anyio.to_thread.run_sync(render.objects, cluster, overlay, built)
        if foreign:
            istio.hand_over(objects, foreign)
        wanted = [*mesh, *objects]
        known, paths = apply.paths(before), [apply.path(item) for item in wanted]
        # What was and what shall be, until the old is gone: an `up` that is cut short is not taken for done.
        either = list(dict.fromkeys([*known, *paths]))
        if known:
            await apply.remember(kube, either, "", overlay)
        # A pod that Istio completes cannot be made while it is away.
        first = [*(item for item in objects if item["kind"] == "Namespace"), *mesh]
        await apply.apply(kube, first)
        await ready.rollouts(kube, first)
        await apply.apply(kube, wanted)
        await apply.remember(kube, either, "", overlay)
        # A definition would take everything of its kind with it, that of others too.
        await apply.prune(kube, [one for one in known if one not in paths and "/customresourcedefinitions/" not in one])
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


def _images(cluster: LocalCluster, wanted: Mapping[str, str], progress: Progress) -> dict[str, str]:
    tags = {}
    for name, folder in wanted.items():
        with source.context(folder, progress) as context:
            tags[name] = images.build(progress, cluster, folder, context, estimate=30)
    images.load(progress, cluster, list(tags.values()))
    return tags
