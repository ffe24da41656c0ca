"""Bring the stack to one overlay's state from whatever state it is in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from harness.cluster import stopping
from harness.cluster.build import images
from harness.cluster.cache import Progress, locked
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.errors import UsageError
from harness.stack import apply, certificate, istio, overlays, parts, ready, render, renew, source

DEFINITIONS = "/customresourcedefinitions/"


async def up(cluster: LocalCluster, progress: Progress, overlay: str = "kind", named: Sequence[str] = ()) -> None:
    """Deploy an overlay with these parts alone and wait until it answers; about a second when it already does."""
    overlays.check(overlay)
    wanted_parts = parts.closed([*named, *overlays.part_names(overlay)])
    async with _alone(progress), Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        foreign = await istio.foreign(kube)
        key = source.key(overlay, wanted_parts, foreign)
        before = await apply.inventory(kube)
        kept = render.kept(key) if before.get("key") == key else []
        if kept and await apply.served(kube, kept):
            # Nothing of it is new, but somebody may have changed or removed a part. Definitions are large: they are
            # only asked for, and so is an API, which comes after whoever serves it.
            asked = (apply.DEFINITION, apply.API)
            await apply.apply(kube, [item for item in kept if item["kind"] not in asked])
            # Its namespace may have been what was removed.
            await certificate.ensure(kube, cluster, kept, progress)
            await renew.pods_in_back_off(kube, cluster, kept, progress)
            if await ready.well(kube, kept):
                return
        if foreign:
            progress(f"this cluster has an Istio, revision {foreign}: the gateway is that one's, and none is installed")
        folders = source.images(wanted_parts, foreign=bool(foreign))
        built = await stopping.in_thread(_images, cluster, folders, progress)
        mesh = [] if foreign else await stopping.in_thread(istio.objects, built, progress)
        progress(f"deploying the stack, {_told(overlay, wanted_parts)}: about 50 s")
        objects = await stopping.in_thread(render.objects, cluster, overlay, wanted_parts, built, progress)
        if foreign:
            istio.hand_over(objects, foreign)
        wanted = [*mesh, *objects]
        paths = [apply.path(item) for item in wanted] + [one.path for one in certificate.wanted(objects)]
        known = apply.paths(before)
        # What was and what shall be, until the old is gone: an `up` that is cut short is not taken for done.
        either = list(dict.fromkeys([*known, *paths]))
        namespaces = [item for item in objects if item["kind"] == "Namespace"]
        if not known:
            # It is remembered in one of them.
            await apply.apply(kube, namespaces)
        await apply.remember(kube, either, "", overlay, wanted_parts)
        # A pod that Istio completes cannot be made while it is away.
        first = [*namespaces, *mesh]
        await apply.apply(kube, first)
        await ready.rollouts(kube, first)
        await certificate.ensure(kube, cluster, objects, progress)
        rest = [item for item in objects if item["kind"] not in ("Namespace", apply.API)]
        await apply.apply(kube, rest)
        # A definition would take everything of its kind with it, that of others too.
        gone = [path for path in known if path not in paths and DEFINITIONS not in path]
        staying = [path.rpartition("/")[2] for path in known if path not in paths and DEFINITIONS in path]
        replaced = any(map(_keeps_pods, gone))
        if replaced:
            # Whoever takes its pods' place serves before they go.
            await ready.wait(kube, wanted)
        await apply.prune(kube, gone)
        if replaced:
            # Until it was gone a Rollout's controller wrote its release into the routes.
            await apply.apply(kube, rest)
        # Where its template is as before, a Deployment keeps its pods.
        await renew.pods_in_back_off(kube, cluster, wanted, progress)
        await ready.wait(kube, wanted)
        # The API server asks at once, by the Service's address. Where its node does not know that one yet, the question
        # goes out into the world, and whoever answers there is asked for good: the connection is kept.
        apis = [item for item in objects if item["kind"] == apply.API]
        await apply.apply(kube, apis)
        await ready.apis(kube, apis)
        await stopping.in_thread(render.keep, key, wanted)
        await apply.remember(kube, paths, key, overlay, wanted_parts)
    # Another Istio needs its own, and would miss them.
    if staying and not foreign:
        progress(
            f"these definitions stay, as everything of their kinds would go with them, whoever made it: "
            f"{', '.join(staying)}; `kubectl --kubeconfig {cluster.kubeconfig} delete crd NAME` removes one"
        )


async def down(cluster: LocalCluster, progress: Progress, gone: Sequence[str]) -> None:
    """Take parts away and leave the rest as it is; nothing where they are not there. Raises UsageError."""
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        before = await apply.remembered(kube)
    there, overlay = tuple(before.get("parts", parts.CORE).split(",")), apply.overlay(before)
    for kind, has, known in (("part", there, parts.names()), ("overlay", [overlay], overlays.names())):
        if strange := [name for name in has if name not in known]:
            raise UsageError(
                f"this version does not know the {kind} {', '.join(strange)}",
                where="the stack that is there",
                why="another version of the harness brought it up, and what shall stay cannot be put together",
                hint="the same command of that version, or `harness up` to have the stack as it is here",
            )
    stay = parts.without(there, gone)
    if not before:
        progress("there is no stack here, and no part of one to take away")
        return
    if stay == there and before.get("key"):
        progress(f"nothing to take away: there is {', '.join(there)}")
        return
    await up(cluster, progress, "kind" if {*overlays.part_names(overlay)} & {*gone} else overlay, stay)


def _keeps_pods(path: str) -> bool:
    return path.split("/")[-2] in ("deployments", "rollouts")


def _told(overlay: str, wanted: Sequence[str]) -> str:
    return f"overlay {overlay}" + (f", parts {', '.join(wanted)}" if len(wanted) > 1 else "")


@asynccontextmanager
async def _alone(progress: Progress) -> AsyncIterator[None]:
    # In a thread: a wait for another command must not keep Ctrl-C from getting through.
    lock = locked("stack", progress)
    await stopping.in_thread(lock.__enter__)
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def _images(cluster: LocalCluster, folders: Mapping[str, str], progress: Progress) -> dict[str, str]:
    tags = {}
    for name, folder in folders.items():
        with source.context(folder, progress) as context:
            tags[name] = images.build(progress, cluster, folder, context, estimate=30)
    images.load(progress, cluster, list(tags.values()))
    return tags
