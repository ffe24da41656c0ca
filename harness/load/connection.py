"""One keep-alive connection that speaks HTTP/1.1, as small and as fast as an open loop needs."""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Callable

import h11

from harness.load.answer import LARGEST_BODY, Answer, Garbled, NotSent, made
from harness.load.requests import Request

# Servers that drop idle connections without a word mostly do so after 5 s: before that nobody need race them.
IDLE_NS = 4_000_000_000
# Cookies and the like: more than this is no head of an answer.
LARGEST_HEAD = 131_072
_END = h11.EndOfMessage()
CUT = "the connection was closed before the answer ended"


class Connection(asyncio.Protocol):
    """One connection, one request at a time; `free` is told when it may be used again, `lost` when never again."""

    def __init__(self, free: Callable[[Connection], None], lost: Callable[[Connection], None]) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
        self._free, self._lost = free, lost
        self._transport: asyncio.Transport | None = None
        self._response: h11.Response | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._body: bytearray | None = None
        self._heard = select.poll()
        self._idle_ns = 0
        self.used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._heard.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def usable(self) -> bool:
        """Say whether an idle connection may carry one more request.

        One on which something waits to be read has been closed, or answers what nobody asked.
        """
        assert self._transport is not None
        if self._transport.is_closing() or time.monotonic_ns() - self._idle_ns > IDLE_NS:
            return False
        return not self._heard.poll(0)

    def send(self, request: Request) -> asyncio.Future[Answer]:
        """Send one request; the future gets its answer, or a ConnectionError.

        Raises NotSent when the connection can carry none any more.
        """
        assert self._transport is not None
        if self._transport.is_closing() or self._http.our_state is not h11.IDLE:
            raise NotSent("the connection was closed before anything was sent")
        self._waiting = asyncio.get_running_loop().create_future()
        self._body = bytearray() if request.expect.json is not None else None
        # The library need not look at each request again: a third of what an operation costs goes there.
        self._http.send(request.outline())
        self._http.send(_END)
        self._transport.write(request.in_words())
        return self._waiting

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:
            # What nobody asked for must not become the answer to what is asked next.
            self.abort()
        else:
            self._take(data)

    def eof_received(self) -> bool:
        if self._waiting is None:
            self.abort()
        else:
            self._take(b"")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionResetError(CUT))
        self._lost(self)

    def abort(self) -> None:
        """Drop the connection with whatever is on it."""
        self._lost(self)
        if self._transport is not None:
            self._transport.abort()

    def give_up(self, _: asyncio.Future[Answer] | None) -> None:
        """Expect no answer any more; what would still come makes the connection useless."""
        self.abort()

    def _take(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            while True:
                event = self._http.next_event()
                kind = type(event)
                if kind is h11.Data:
                    self._keep(event.data)  # type: ignore[union-attr]
                elif kind is h11.Response:
                    self._response = event  # type: ignore[assignment]
                elif kind is h11.EndOfMessage:
                    self._answered()
                    return
                elif kind is not h11.InformationalResponse:
                    return
        except h11.RemoteProtocolError as error:
            self._fail(Garbled("no HTTP", str(error)) if data or self._strange() else ConnectionResetError(CUT))
            self.abort()

    def _strange(self) -> bool:
        """Say whether what came so far is the beginning of no answer."""
        begun = self._http.trailing_data[0] if self._response is None else b""
        return not b"HTTP/".startswith(begun[:5])

    def _keep(self, data: bytes) -> None:
        if self._body is not None and len(self._body) <= LARGEST_BODY:
            self._body += data

    def _answered(self) -> None:
        response, waiting, body = self._response, self._waiting, self._body
        if response is None or waiting is None:
            self.abort()
            return
        if not waiting.done():
            waiting.set_result(made(response.status_code, response.headers, None if body is None else bytes(body)))
        self._response = self._waiting = self._body = None
        self.used = True
        http = self._http
        if http.our_state is h11.DONE and http.their_state is h11.DONE and not http.trailing_data[0]:
            http.start_next_cycle()
            self._idle_ns = time.monotonic_ns()
            self._free(self)
        else:
            self.abort()

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self._waiting = None
