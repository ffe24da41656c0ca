"""Follow Kubernetes collections: list once, then watch, for as long as the process lives."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp

from claude_services.json_objects import Json, by_name

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
WATCH_SECONDS = 50
LINE_BYTES = 2**20
log = logging.getLogger("watch")


class Api:
    """The API server, as far as this pod's service account may read it."""

    def __init__(self) -> None:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        self._session = aiohttp.ClientSession(
            f"https://{host}:{port}",
            connector=aiohttp.TCPConnector(ssl=trust),
            raise_for_status=True,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=WATCH_SECONDS + 10),
            # A line of a watch holds a whole object.
            read_bufsize=LINE_BYTES,
        )

    def get(self, path: str, **params: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Ask for a collection; the token is read at every request, because the kubelet renews the file."""
        token = (ACCOUNT / "token").read_text().strip()
        return self._session.get(path, params=params, headers={"Authorization": f"Bearer {token}"})

    async def __aenter__(self) -> Api:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()


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


async def follow(api: Api, path: str, target: dict[str, Json], changed: Callable[[], None]) -> None:
    """Keep `target` equal to the collection at `path`; what is known is kept while the API server is away."""
    while True:
        try:
            async with api.get(path) as response:
                listing = await response.json()
            target.clear()
            target.update(by_name(listing.get("items") or []))
            changed()
            version = listing["metadata"]["resourceVersion"]
            while version:
                version = await _watch(api, path, version, target, changed)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError) as error:
            log.warning("lost sight", extra={"data": {"path": path, "why": repr(error)}})
            await asyncio.sleep(0.5)


async def _watch(api: Api, path: str, version: str, target: dict[str, Json], changed: Callable[[], None]) -> str:
    """Apply changes until the watch ends; return where to go on, or nothing when a new listing is needed."""
    params = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(WATCH_SECONDS),
    }
    async with api.get(path, **params) as response:
        async for line in response.content:
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
