"""Reach one API server over HTTP, by credentials that may change while a run goes on."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio.to_thread
import httpx

from harness import __version__
from harness.cluster.kubeconfig import proxies, tls
from harness.cluster.kubeconfig.access import Access
from harness.cluster.kubeconfig.credentials import Credentials, Signature
from harness.errors import ClusterUnreachable, PreconditionFailed

# The API server's audit log tells this project's requests by it.
AGENT = f"kube-chaos-harness/{__version__}"
CONNECT_SECONDS = 10.0
REQUEST_SECONDS = 30.0


class Connection:
    """The connections of one context; a request that is refused for its credentials is sent once more with others."""

    def __init__(self, access: Access) -> None:
        """Prepare them; raises PreconditionFailed where credentials or certificates cannot be used."""
        self._access = access
        self._credentials = Credentials(access)
        self._signature = self._credentials.signature()
        self._retired: list[httpx.AsyncClient] = []
        self._client = self._open(self._signature)

    def _open(self, signature: Signature) -> httpx.AsyncClient:
        access = self._access
        trust = tls.context(access)
        if signature.certificate:
            tls.show(trust, access, signature.certificate, signature.key)
        proxy = proxies.choose(access.server, access.proxy)
        try:
            return self._opened(trust, proxy)
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            where = f"context {access.context}"
            raise PreconditionFailed(
                "the server's address, or its proxy's, is none", where=where, why=str(error)
            ) from None

    def _opened(self, trust: ssl.SSLContext, proxy: str) -> httpx.AsyncClient:
        whom = [(name.encode(), value) for name, value in self._credentials.headers]
        return httpx.AsyncClient(
            base_url=self._access.server,
            verify=trust,
            headers=[(b"User-Agent", AGENT.encode()), *whom],
            timeout=httpx.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            # What the environment says of proxies is heeded here, as kubectl heeds it.
            trust_env=False,
            proxy=httpx.Proxy(proxy, ssl_context=trust if proxy.startswith("https") else None) if proxy else None,
        )

    async def close(self) -> None:
        """Close every connection."""
        for client in (self._client, *self._retired):
            await client.aclose()

    async def send(
        self, method: str, path: str, params: Mapping[str, Any], content: bytes | None, headers: Mapping[str, str]
    ) -> httpx.Response:
        """Send one request and return its answer, whatever it is; raises ClusterUnreachable."""
        try:
            signature = await self._signed()
            response = await self._request(method, path, params, content, {**headers, **_header(signature)})
            if response.status_code == 401 and await self._refused(signature):
                headers = {**headers, **_header(await self._signed())}
                response = await self._request(method, path, params, content, headers)
        except httpx.RequestError as error:
            raise self.unreachable(error) from error
        return response

    @contextlib.asynccontextmanager
    async def stream(self, path: str, params: Mapping[str, Any], seconds: float) -> AsyncIterator[httpx.Response]:
        """Open an answer that comes piece by piece, for so many seconds; raises what httpx raises."""
        timeout = httpx.Timeout(seconds + REQUEST_SECONDS, connect=CONNECT_SECONDS)
        for last in (False, True):
            signature = await self._signed()
            sent = _header(signature)
            async with self._client.stream("GET", path, params=params, timeout=timeout, headers=sent) as response:
                if response.status_code == 401 and not last and await self._refused(signature):
                    continue
                yield response
                return

    async def _request(
        self, method: str, path: str, params: Mapping[str, Any], content: bytes | None, headers: Mapping[str, str]
    ) -> httpx.Response:
        query = {key: value for key, value in params.items() if value is not None}
        return await self._client.request(method, path, params=query, content=content, headers=headers)

    async def _signed(self) -> Signature:
        """Return what a request is signed with now; credentials that have to be fetched first are fetched aside."""
        fetch = self._credentials.signature
        try:
            aside = self._credentials.due
            self._adopt(await anyio.to_thread.run_sync(fetch, abandon_on_cancel=True) if aside else fetch())
        except PreconditionFailed as error:
            raise _unknown(error) from error
        return self._signature

    async def _refused(self, signature: Signature) -> bool:
        """Fetch credentials anew, unless that was done since, and say whether there are others now."""
        refused = self._credentials.refused
        try:
            return await anyio.to_thread.run_sync(refused, signature, abandon_on_cancel=True)
        except PreconditionFailed as error:
            raise _unknown(error) from error

    def _adopt(self, signature: Signature) -> None:
        """Open new connections when the client certificate has changed: the old ones are somebody else's."""
        before = self._signature
        if (before.certificate, before.key) != (signature.certificate, signature.key):
            client = self._open(signature)
            self._retired.append(self._client)
            self._client = client
        self._signature = signature

    def unreachable(self, error: Exception) -> ClusterUnreachable:
        """Say that the server does not answer, and why."""
        context, repair = self._access.context, "run `harness up`: it repairs the local cluster"
        return ClusterUnreachable(
            f"the API server of context {context!r} does not answer",
            where=self._access.server,
            why=f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
            hint=repair if context.startswith("kind-") else "check the network and the cluster's state",
        )

    def foreign(self, answer: str) -> ClusterUnreachable:
        """Say that something else answers where the API server should, and how."""
        return ClusterUnreachable(
            f"what answers at {self._access.server} is no Kubernetes API server",
            where=f"context {self._access.context}",
            why=answer,
            hint="check the server's address in the kubeconfig, and whether a proxy or a sign-in stands before it",
        )


def _header(signature: Signature) -> dict[str, str]:
    return {"Authorization": signature.authorization} if signature.authorization else {}


def _unknown(error: PreconditionFailed) -> ClusterUnreachable:
    """Take credentials that cannot be had just now as a server that does not answer: both are asked again."""
    return ClusterUnreachable(error.what, where=error.where, why=error.why, hint=error.hint)
