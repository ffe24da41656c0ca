"""The lever: one object in the cluster that stops every run and refuses new ones.

It lies in the harness's own namespace. One in any other namespace is for the runs that may touch that namespace;
whoever pulls the lever of the cluster puts it where runs are that see no further than their own namespace, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from harness.cluster.kube import Kube
from harness.engine import lease
from harness.engine.contexts import OPT_IN_LABEL
from harness.engine.scope import SYSTEM as NAMESPACE
from harness.errors import ApiError

_CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"
NAME = "chaos-lever"


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
    """Stop every run on this cluster and refuse new ones, or those in one namespace; return where a lever lies now."""
    if not only:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        path = f"/api/v1/namespaces/{NAMESPACE}"
        await kube.patch(path, namespace, kind="apply", fieldManager="harness", force="true")
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME},
        "data": {"state": "on", "who": who, "reason": reason},
    }
    places = [only] if only else [NAMESPACE, *await _nearsighted(kube)]
    for place in places:
        path = f"{_CONFIG_MAPS.format(place)}/{NAME}"
        await kube.patch(path, body, kind="apply", fieldManager="harness", force="true")
    return places


async def release(kube: Kube, *, only: str = "") -> None:
    """Let runs start again."""
    found = [] if only else await _listed(kube, "/api/v1/configmaps", fields=f"metadata.name={NAME}")
    for place in {only or NAMESPACE, *(item["metadata"]["namespace"] for item in found)}:
        try:
            await kube.delete(f"{_CONFIG_MAPS.format(place)}/{NAME}")
        except ApiError as error:
            if error.status != 404:
                raise


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
