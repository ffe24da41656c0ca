"""Bring the stack to one overlay's state from whatever state it is in, and take it down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread

from harness.cluster import images
from harness.cluster.cache import Progress, locked
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.stack import apply, istio, ready, render, source


async def up(cluster: LocalCluster, progress: Progress, overlay: str = "kind") -> None:
    """Deploy an overlay and wait until it answers; about a second when it already does."""
    source.check_overlay(overlay)
    key = source.key(overlay)
    async with _alone(progress), Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        before = await apply.inventory(kube)
        known = apply.paths(before)
        if before.get("key") == key and await ready.well(kube, _deployments(known)):
            return
        built = await anyio.to_thread.run_sync(_images, cluster, progress)
        progress(f"deploying the stack, overlay {overlay}: about 40 s")
        objects = await anyio.to_thread.run_sync(render.objects, cluster, overlay, built)
        definitions = await anyio.to_thread.run_sync(istio.definitions, progress)
        wanted = [*definitions, *objects]
        paths = [apply.path(item) for item in wanted]
        # What was and what shall be, until the old is gone: an `up` that is cut short is not taken for done.
        either = list(dict.fromkeys([*known, *paths]))
        if known:
            await apply.remember(kube, either, "", overlay)
        await apply.apply(kube, wanted)
        await apply.remember(kube, either, "", overlay)
        await apply.prune(kube, [path for path in known if path not in paths])
        await ready.wait(kube)
        await apply.remember(kube, paths, key, overlay)


async def down(cluster: LocalCluster, progress: Progress) -> None:
    """Remove everything `up` deployed."""
    async with _alone(progress), Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        remembered = await apply.inventory(kube)
        progress("removing the stack: about 20 s")
        await apply.prune(kube, apply.paths(remembered))


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


def _deployments(paths: list[str]) -> list[str]:
    found = [path.split("/") for path in paths if "/deployments/" in path]
    return [f"{parts[-3]}/{parts[-1]}" for parts in found]
