"""The lever: one object in the cluster that stops every run and refuses new ones.

It lies in the harness's own namespace. One in any other namespace is for the runs that may touch that namespace;
whoever pulls the lever of the cluster puts it where runs are that see no further than their own namespace, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import anyio

from harness.cluster import observe
from harness.cluster.kube import Kube
from harness.engine import contexts, lease
from harness.engine.contexts import OPT_IN_LABEL
from harness.engine.preflight.scope import SYSTEM as NAMESPACE
from harness.errors import ApiError, ClusterUnreachable, PreconditionFailed

_CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"
NAME = "chaos-lever"
# Who pulls a lever or releases it needs these; a run needs to see it, and no more.
VERBS = "get,create,patch,delete"
PAUSES = (0.5, 1.0, 2.0, 4.0)


async def read(kube: Kube, namespace: str = NAMESPACE) -> dict[str, str] | None:
    """Return who pulled the lever of a namespace and why, or None while it is off."""
    try:
        item = await kube.get(f"{_CONFIG_MAPS.format(namespace)}/{NAME}")
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    data: dict[str, str] = item.get("data", {})
    return data if data.get("state") == "on" else None


async def pull(kube: Kube, *, who: str, reason: str, only: str = "") -> list[str]:
    """Stop every run on this cluster and refuse new ones, or those in one namespace; return where a lever lies now.

    Raises PreconditionFailed that names the namespaces where this user may not; in all others it is on.
    """
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME},
        "data": {"state": "on", "who": who, "reason": reason},
    }

    async def put(place: str) -> None:
        path = f"{_CONFIG_MAPS.format(place)}/{NAME}"
        try:
            await kube.patch(path, body, kind="apply", fieldManager="harness", force="true")
        except ApiError as error:
            if error.status != 404 or place != NAMESPACE:
                raise
            await _make_namespace(kube)
            await kube.patch(path, body, kind="apply", fieldManager="harness", force="true")

    return await _everywhere(kube, [only] if only else [NAMESPACE, *await _nearsighted(kube)], put, "pulled")


async def release(kube: Kube, *, only: str = "") -> None:
    """Let runs start again; raises PreconditionFailed that names the namespaces where this user may not."""
    found = [] if only else await _listed(kube, "/api/v1/configmaps", fields=f"metadata.name={NAME}")

    async def take(place: str) -> None:
        try:
            await kube.delete(f"{_CONFIG_MAPS.format(place)}/{NAME}")
        except ApiError as error:
            if error.status != 404:
                raise

    await _everywhere(kube, {only or NAMESPACE, *(item["metadata"]["namespace"] for item in found)}, take, "released")


async def _make_namespace(kube: Kube) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    try:
        await kube.create("/api/v1/namespaces", body)
    except ApiError as error:
        if error.status != 409:
            raise


async def _everywhere(kube: Kube, places: Iterable[str], act: Callable[[str], Awaitable[None]], done: str) -> list[str]:
    """Do something to the lever of each namespace, whatever became of the others; return where it was done."""
    reached: list[str] = []
    refused: dict[str, ApiError] = {}
    for place in places:
        try:
            await _insist(act, place)
        except ApiError as error:
            if error.status != 403:
                raise
            refused[place] = error
        else:
            reached.append(place)
    if refused:
        first, *_ = refused
        elsewhere = f"; it was in {', '.join(reached)}" if reached else ""
        words = ("--namespace", first, f"--verb={VERBS}", "--resource=configmaps", f"--resource-name={NAME}")
        raise PreconditionFailed(
            f"the lever could not be {done} in {', '.join(refused)}{elsewhere}",
            where=f"context {kube.context}",
            why=refused[first].message or str(refused[first]),
            hint="an administrator there: "
            + contexts.command(kube, "kubectl", "create", "role", NAME, *words)
            + ", and a rolebinding for whoever pulls it",
        )
    return reached


async def _insist(act: Callable[[str], Awaitable[None]], place: str) -> None:
    """Ask an API server that is busy or begins anew again: when people want a stop, it may be both."""
    for pause in PAUSES:
        try:
            return await act(place)
        except (ApiError, ClusterUnreachable) as error:
            if not observe.unanswered(error):
                raise
        await anyio.sleep(pause)
    return await act(place)


async def pulls(kube: Kube, namespace: str = NAMESPACE) -> AsyncIterator[dict[str, str]]:
    """Yield each pull of a namespace's lever as the cluster reports it."""
    async for kind, item in kube.watch(_CONFIG_MAPS.format(namespace), fields=f"metadata.name={NAME}"):
        data: dict[str, Any] = item.get("data", {})
        if kind in ("ADDED", "MODIFIED") and data.get("state") == "on":
            yield data


async def _nearsighted(kube: Kube) -> list[str]:
    """Name the namespaces where a run is, or may begin, that sees no lever but the one there."""
    runs = [one["metadata"]["namespace"] for one in await lease.everywhere(kube) if lease.alone(one)]
    opted_in = await _listed(kube, "/api/v1/namespaces", labels=f"{OPT_IN_LABEL}=true")
    return sorted({*runs, *(one["metadata"]["name"] for one in opted_in)})


async def _listed(kube: Kube, path: str, **selectors: str) -> list[dict[str, Any]]:
    try:
        return await kube.list(path, **selectors)
    except ApiError as error:
        # Whoever may write into the harness's own namespace alone stops those who look there.
        if error.status != 403:
            raise
        return []
