"""The lever: one object in the cluster that stops every run and refuses new ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from harness.cluster.kube import Kube
from harness.engine.lease import NAMESPACE
from harness.errors import ApiError

_CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
NAME = "chaos-lever"


async def read(kube: Kube) -> dict[str, str] | None:
    """Return who pulled the lever and why, or None while it is off."""
    try:
        item = await kube.get(f"{_CONFIG_MAPS}/{NAME}")
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    data: dict[str, str] = item.get("data", {})
    return data if data.get("state") == "on" else None


async def pull(kube: Kube, *, who: str, reason: str) -> None:
    """Stop every run on this cluster and refuse new ones."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    await kube.patch(f"/api/v1/namespaces/{NAMESPACE}", namespace, kind="apply", fieldManager="harness", force="true")
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME},
        "data": {"state": "on", "who": who, "reason": reason},
    }
    await kube.patch(f"{_CONFIG_MAPS}/{NAME}", body, kind="apply", fieldManager="harness", force="true")


async def release(kube: Kube) -> None:
    """Let runs start again."""
    try:
        await kube.delete(f"{_CONFIG_MAPS}/{NAME}")
    except ApiError as error:
        if error.status != 404:
            raise


async def pulls(kube: Kube) -> AsyncIterator[dict[str, str]]:
    """Yield each pull of the lever as the cluster reports it."""
    async for kind, item in kube.watch(_CONFIG_MAPS, fields=f"metadata.name={NAME}"):
        data: dict[str, Any] = item.get("data", {})
        if kind in ("ADDED", "MODIFIED") and data.get("state") == "on":
            yield data
