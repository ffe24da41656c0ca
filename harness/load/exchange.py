"""One operation: send its request, once more where nothing of it was sent, and on to where it is redirected."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Collection
from dataclasses import replace
from urllib.parse import quote, urljoin, urlsplit

from harness.load import tls
from harness.load.answer import Answer, Garbled, NotSent
from harness.load.pool import AnyConnection, Pools
from harness.load.requests import PLAIN, Origin, Request, origin_of

REDIRECTS = frozenset({301, 302, 303, 307, 308})
# These two ask for the same once more; after the others everybody reads (as browsers do).
SAME = frozenset({307, 308})
# Another origin must not learn them: another port is another program, and without TLS everybody on the way reads.
PRIVATE = frozenset({"authorization", "cookie", "proxy-authorization"})
OF_BODY = frozenset({"content-type", "content-length"})


class Exchange:
    """One operation under way: when its first byte went out, on which connection, whether that had served before."""

    __slots__ = ("_pools", "_waiting", "connection", "reused", "sent_ns")

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._waiting: asyncio.Future[Answer] | None = None
        self.connection: AnyConnection | None = None
        self.reused = False
        self.sent_ns = 0

    async def run(self, request: Request, redirects: int, allowed: Collection[str]) -> Answer:
        """Return the last answer; raises OSError when there is none.

        At most so many redirects are followed, and only to hosts that are `allowed`.
        """
        answer = await self._ask(request)
        followed = 0
        while redirects and answer.status in REDIRECTS:
            following = onward(request, answer, allowed)
            if isinstance(following, str):
                return replace(answer, amiss=following)
            if followed == redirects:
                return replace(answer, amiss=f"more than {redirects} redirects")
            request, followed = following, followed + 1
            answer = await self._ask(request)
        return answer

    async def _ask(self, request: Request) -> Answer:
        pool = self._pools.of(request.origin)
        for fresh in (False, True):
            self.connection = self._waiting = None
            connection = await pool.take(fresh=fresh)
            self.connection, self.reused = connection, connection.used
            self.sent_ns = self.sent_ns or time.monotonic_ns()
            try:
                self._waiting = connection.send(request)
                return await self._waiting
            except NotSent:
                if fresh:
                    raise
        raise AssertionError("unreachable")

    def give_up(self) -> None:
        """Expect no answer any more."""
        if self.connection is not None:
            self.connection.give_up(self._waiting)


def onward(request: Request, answer: Answer, allowed: Collection[str]) -> Request | str:
    """Make the request that a redirect asks for, or say why it is not followed."""
    if not answer.location:
        return "redirected nowhere"
    scheme = "https" if request.origin.secure else "http"
    try:
        url = urljoin(f"{scheme}://{request.origin}{request.target}", answer.location)
        parts, origin = urlsplit(url), origin_of(url)
    except ValueError:
        return "redirected nowhere"
    if parts.scheme not in ("http", "https") or origin.host not in allowed:
        return "redirected to a host not named"
    written = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # A header's bytes are read as Latin-1, whatever they mean: they are escaped as the bytes they were.
    target = quote(written.encode("latin-1"), safe=PLAIN)
    headers = [(name, value) for name, value in request.headers if _goes_along(name, request.origin, origin)]
    if origin != request.origin:
        headers = [("host", str(origin)), *headers]
    if answer.status in SAME or request.method in ("GET", "HEAD"):
        return replace(request, origin=origin, target=target, headers=headers, words=b"")
    headers = [(name, value) for name, value in headers if name not in OF_BODY]
    return replace(request, origin=origin, method="GET", target=target, headers=headers, body=b"", words=b"")


def _goes_along(name: str, before: Origin, after: Origin) -> bool:
    if before == after:
        return True
    # A site that sends everybody on to its TLS side stays itself (httpx and curl see it so, too).
    upgraded = before.host == after.host and (before.port, after.port, after.secure) == (80, 443, True)
    return name != "host" and (upgraded or name not in PRIVATE)


def reason(error: Exception) -> str:
    """Say in a few words why no answer came; empty where how it ended says it all."""
    if isinstance(error, Garbled):
        return str(error.args[0])
    if isinstance(error, ssl.SSLError):
        return tls.reason(error)
    return "name not found" if isinstance(error, socket.gaierror) else ""
