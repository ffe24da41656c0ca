"""A thin asynchronous Kubernetes client: paths in, dictionaries out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import anyio
import httpx

from harness.cluster import kubeconfig as kubeconfigs
from harness.cluster import local, paths
from harness.cluster.connection import Connection
from harness.cluster.kubeconfig.access import Access
from harness.errors import ApiError, ClusterUnreachable

WATCH_SECONDS = 240
# A watch that ends at once, as behind a proxy that keeps none open, is not asked for again without a pause.
WATCH_PAUSE_SECONDS = 0.5
PAGE = 500
# For how long, all in all, a server is waited for that says when to ask again.
BUSY_SECONDS = 10.0
MOST_TOLD = 200
PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
Patch = Literal["merge", "strategic", "json", "apply"]
Items = list[dict[str, Any]]


class Kube:
    """One API server, as one context of a kubeconfig reaches it."""

    def __init__(self, access: Access, kubeconfig: Path | None = None) -> None:
        """Prepare a client; raises PreconditionFailed where its credentials or certificates cannot be used.

        `kubeconfig` is the file that was named, None where the environment's were read.
        """
        self.access, self.kubeconfig = access, kubeconfig
        self.context = access.context
        self.server = access.server
        self.namespace = access.namespace
        self._connection = Connection(access)

    @classmethod
    def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Self:
        """Prepare a client; nothing is sent before the first request."""
        if kubeconfig is None:
            cluster = local.current()
            if cluster is not None and context in (None, f"kind-{cluster.name}"):
                kubeconfig = cluster.kubeconfig
        return cls(kubeconfigs.load(kubeconfig, context), kubeconfig)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._connection.close()

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Read one object, or anything else that the API server itself answers as JSON."""
        return self._object(await self._ask("GET", path, params=params))

    async def get_text(self, path: str, **params: Any) -> str:
        """Read an answer that is text, or a pod's own: a log, a metrics page, a health check."""
        response = await self._send("GET", path, params, None, {"Accept": "*/*"})
        if response.is_error:
            raise _refusal(response)
        return response.text

    async def list(self, path: str, *, labels: str | None = None, fields: str | None = None) -> Items:
        """Read a whole collection, page by page."""
        items, _ = await self.list_at(path, labels=labels, fields=fields)
        return items

    async def list_at(self, path: str, *, labels: str | None = None, fields: str | None = None) -> tuple[Items, str]:
        """Read a whole collection and the resource version a watch can go on from."""
        params: dict[str, Any] = {**_selectors(labels, fields), "limit": PAGE}
        items: Items = []
        while True:
            response = await self._ask("GET", path, params=params)
            page = self._object(response)
            if "items" not in page:
                raise self._foreign(response)
            items += page["items"] or []
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                return items, str(metadata.get("resourceVersion", ""))
            params["continue"] = metadata["continue"]

    async def create(self, path: str, body: Mapping[str, Any], **params: Any) -> dict[str, Any]:
        """Create an object in a collection."""
        return self._object(await self._ask("POST", path, params=params, body=body))

    async def replace(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object; its resourceVersion, when present, must still be the current one."""
        return self._object(await self._ask("PUT", path, body=body))

    async def patch(self, path: str, body: Any, *, kind: Patch = "merge", **params: Any) -> dict[str, Any]:
        """Change part of an object; `apply` is server-side apply and owns what it names."""
        if kind == "apply":
            params = {"fieldManager": "harness", "force": "true", **params}
        headers = {"Content-Type": PATCH_TYPES[kind]}
        return self._object(await self._ask("PATCH", path, params=params, body=body, headers=headers))

    async def delete(
        self,
        path: str,
        *,
        grace: int | None = None,
        uid: str | None = None,
        version: str | None = None,
        propagation: str | None = None,
    ) -> dict[str, Any]:
        """Delete an object, on request only while it still has the given UID, or is of the given version."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", version)) if value is not None}
        if preconditions:
            options["preconditions"] = preconditions
        if propagation is not None:
            options["propagationPolicy"] = propagation
        return self._object(await self._ask("DELETE", path, body=options))

    async def evict(self, pod: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Ask the eviction API to remove this very pod; return status and answer, refusals included."""
        name, namespace, uid = (pod["metadata"][key] for key in ("name", "namespace", "uid"))
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        response = await self._send("POST", f"{paths.pods(namespace, name)}/eviction", {}, body, {})
        return response.status_code, _said(response) if response.is_error else self._object(response)

    async def watch(
        self, path: str, *, labels: str | None = None, fields: str | None = None, since: str = ""
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield (type, object) for every change after `since`; without it, what exists comes first as ADDED."""
        version = since
        while True:
            params: dict[str, Any] = {
                **_selectors(labels, fields),
                "watch": "true",
                "allowWatchBookmarks": "true",
                "timeoutSeconds": WATCH_SECONDS,
            }
            if version:
                params["resourceVersion"] = version
            told = False
            async for kind, changed in self._watch_once(path, params):
                told = True
                version = changed.get("metadata", {}).get("resourceVersion", version)
                if kind != "BOOKMARK":
                    yield kind, changed
            if not told:
                await anyio.sleep(WATCH_PAUSE_SECONDS)

    async def _watch_once(self, path: str, params: dict[str, Any]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        try:
            async with self._connection.stream(path, params, WATCH_SECONDS) as response:
                if not response.is_success:
                    await response.aread()
                    raise _refusal(response) if response.is_error else self._foreign(response)
                async for line in response.aiter_lines():
                    if not line:
                        continue
                    event = json.loads(line)
                    if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
                        raise self._foreign(response)
                    if event.get("type") == "ERROR":
                        status = event["object"]
                        code, reason = int(status.get("code") or 500), str(status.get("reason") or "Error")
                        raise ApiError(code, reason, str(status.get("message") or ""), where=path)
                    yield str(event.get("type")), event["object"]
        except (httpx.RequestError, json.JSONDecodeError) as error:
            raise self._connection.unreachable(error) from error

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        response = await self._send(method, path, params or {}, body, headers or {})
        waited = 0.0
        # Only what changes nothing: an effect is made when it was allowed, or not at all.
        while method == "GET" and (pause := _pause(response)) is not None and waited + pause <= BUSY_SECONDS:
            await anyio.sleep(pause)
            waited += pause
            response = await self._send(method, path, params or {}, body, headers or {})
        if response.is_error:
            raise self._plain(response) or _refusal(response)
        return response

    async def _send(
        self, method: str, path: str, params: Mapping[str, Any], body: Any, headers: Mapping[str, str]
    ) -> httpx.Response:
        content = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers} if content is not None else dict(headers)
        return await self._connection.send(method, path, params, content, sent)

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        """Return what the API server answered; raises ClusterUnreachable where no API server answers like that."""
        try:
            value = response.json() if response.is_success else None
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise self._foreign(response)
        return value

    def _plain(self, response: httpx.Response) -> ClusterUnreachable | None:
        """Tell of a server that is asked in plain text and wants TLS; None where that is not what it says."""
        if response.status_code != 400 or self.server.startswith("https") or "HTTPS" not in response.text:
            return None
        return ClusterUnreachable(
            f"the API server of context {self.context!r} is asked in plain text",
            where=self.server,
            why=response.text.strip()[:MOST_TOLD],
            hint="the kubeconfig's `server` begins with https://",
        )

    def _foreign(self, response: httpx.Response) -> ClusterUnreachable:
        # A page for people to sign in is a success, too, and must not read as a cluster where nothing is.
        to = response.headers.get("Location", "").partition("?")[0]
        kind = response.headers.get("Content-Type") or "nothing"
        said = f"to {to}" if to else f"with {kind}, not the object asked for"
        return self._connection.foreign(f"{response.request.method} {response.url.path}: {response.status_code} {said}")


def _selectors(labels: str | None, fields: str | None) -> dict[str, str]:
    chosen = {"labelSelector": labels, "fieldSelector": fields}
    return {key: value for key, value in chosen.items() if value}


def _pause(response: httpx.Response) -> float | None:
    """Return after how many seconds a server that is busy or begins anew wants to be asked again; else None."""
    after = response.headers.get("Retry-After", "")
    busy = response.status_code == 429 or response.status_code >= 500
    return max(1.0, float(after)) if busy and after.isdecimal() else None


def _said(response: httpx.Response) -> dict[str, Any]:
    try:
        value = response.json()
    except ValueError:
        return {"message": response.text}
    return value if isinstance(value, dict) else {"value": value}


def _refusal(response: httpx.Response) -> ApiError:
    status = _said(response)
    reason = str(status.get("reason") or response.reason_phrase or "Error")
    message = str(status.get("message") or "")
    return ApiError(response.status_code, reason, message, where=f"{response.request.method} {response.url.path}")
