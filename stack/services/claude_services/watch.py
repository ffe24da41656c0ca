"""Follow Kubernetes collections: list once, then watch, for as long as the process lives."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from claude_services.json_objects import Json, by_name

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
WATCH_SECONDS = 50
log = logging.getLogger("watch")


def api_client() -> httpx.AsyncClient:
    """Return a client of the API server that this pod's service account may use."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return httpx.AsyncClient(
        base_url=f"https://{host}:{port}",
        verify=ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")),
        auth=_token,
        timeout=httpx.Timeout(10, read=WATCH_SECONDS + 10),
    )


def _token(request: httpx.Request) -> httpx.Request:
    # Read at every request: the kubelet renews the file.
    request.headers["Authorization"] = f"Bearer {(ACCOUNT / 'token').read_text().strip()}"
    return request


@asynccontextmanager
async def kept(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `work` beside the body; when it ends by itself the process ends too, so that the kubelet starts it again."""
    running = asyncio.create_task(work)
    running.add_done_callback(_end_with)
    yield
    running.cancel()


def _end_with(running: asyncio.Task[None]) -> None:
    if not running.cancelled():
        log.critical("stopped following", exc_info=running.exception())
        os.kill(os.getpid(), signal.SIGTERM)


async def follow(api: httpx.AsyncClient, path: str, target: dict[str, Json], changed: Callable[[], None]) -> None:
    """Keep `target` equal to the collection at `path`; what is known is kept while the API server is away."""
    while True:
        try:
            listing = (await api.get(path)).raise_for_status().json()
            target.clear()
            target.update(by_name(listing.get("items") or []))
            changed()
            version = listing["metadata"]["resourceVersion"]
            while version:
                version = await _watch(api, path, version, target, changed)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            log.warning("lost sight", extra={"data": {"path": path, "why": repr(error)}})
            await asyncio.sleep(0.5)


async def _watch(
    api: httpx.AsyncClient, path: str, version: str, target: dict[str, Json], changed: Callable[[], None]
) -> str:
    """Apply changes until the watch ends; return where to go on, or nothing when a new listing is needed."""
    params = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(WATCH_SECONDS),
    }
    async with api.stream("GET", path, params=params) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line:
                continue
            event = json.loads(line)
            if event["type"] == "ERROR":
                return ""
            item = event["object"]
            version = item["metadata"]["resourceVersion"]
            if event["type"] == "BOOKMARK":
                continue
            if event["type"] == "DELETED":
                target.pop(item["metadata"]["name"], None)
            else:
                target[item["metadata"]["name"]] = item
            changed()
    return str(version)
