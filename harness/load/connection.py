"""Keep-alive HTTP/1.1 connections to one address, as small and as fast as an open loop needs."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import h11

from harness.load.workloads import Request

# What the gateway adds to each answer, its own included: the `headers` of the stack's VirtualService ask for the first
# two, Envoy counts the third by itself.
FLAGS_HEADER = b"x-envoy-response-flags"
HOST_HEADER = b"x-envoy-upstream-host"
ATTEMPTS_HEADER = b"x-envoy-attempt-count"
# What a service says that refused: which dependency kept it from answering, and how; or that it has no room.
DEPENDENCY_HEADER, BREAKER_HEADER, FAILURE_HEADER = b"x-dependency", b"x-breaker", b"x-failure"
OVERLOAD_HEADER = b"x-overload"
SERVER_HEADER = b"x-served-by"
_READ = frozenset({
    *(FLAGS_HEADER, HOST_HEADER, ATTEMPTS_HEADER, SERVER_HEADER),
    *(DEPENDENCY_HEADER, BREAKER_HEADER, FAILURE_HEADER, OVERLOAD_HEADER),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, when its last byte came, who served it, and how often the gateway says it tried.

    `tried` is the pod's address where none says that it answered; `because` is the service's own reason.
    """

    status: int
    finished_ns: int
    served_by: str
    attempts: int
    response_flags: str = ""
    tried: str = ""
    because: str = ""


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, free: Callable[[Connection], None], lost: Callable[[Connection], None]) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self._free, self._lost = free, lost
        self._transport: asyncio.Transport | None = None
        self._response: h11.Response | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self.used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: h11.Request, body: bytes) -> asyncio.Future[Answer]:
        """Send one request; the future gets its answer, or a ConnectionError."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        head = self._http.send(request) or b""
        content = self._http.send(h11.Data(body)) or b"" if body else b""
        self._transport.write(head + content + (self._http.send(h11.EndOfMessage()) or b""))
        return self._waiting

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def eof_received(self) -> bool:
        self._take(b"")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionResetError("the connection was closed before the answer ended"))
        self._lost(self)

    def abort(self) -> None:
        """Drop the connection with whatever is on it."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            while not isinstance(event := self._http.next_event(), type) and not isinstance(
                event, h11.ConnectionClosed
            ):
                if isinstance(event, h11.Response):
                    self._response = event
                elif isinstance(event, h11.EndOfMessage):
                    self._answered()
                    return
        except h11.RemoteProtocolError as error:
            self._fail(ConnectionError(f"no HTTP: {error}"))
            self.abort()

    def _answered(self) -> None:
        response, waiting = self._response, self._waiting
        if response is None or waiting is None:
            self.abort()
            return
        if not waiting.done():
            waiting.set_result(_answer(response))
        self._response = self._waiting = None
        self.used = True
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._free(self)
        elif self._transport is not None:
            self._transport.close()

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self._waiting = None


def _answer(response: h11.Response) -> Answer:
    finished = time.monotonic_ns()
    told = {name: value.decode("latin-1") for name, value in response.headers if name in _READ}
    attempts, served_by = told.get(ATTEMPTS_HEADER, ""), told.get(SERVER_HEADER, "")
    return Answer(
        response.status_code,
        finished,
        served_by,
        min(255, int(attempts)) if attempts.isdecimal() else 0,
        # Envoy writes - for none, for a host that was never chosen, too.
        told.get(FLAGS_HEADER, "").strip("-"),
        "" if served_by else told.get(HOST_HEADER, "").strip("-"),
        _because(told),
    )


def unanswered(finished_ns: int) -> Answer:
    """Give what stands in the place of an answer that never came."""
    return Answer(0, finished_ns, "", 0)


def _because(told: Mapping[bytes, str]) -> str:
    how = f"breaker {told[BREAKER_HEADER]}" if BREAKER_HEADER in told else told.get(FAILURE_HEADER, "")
    how = "overloaded" if OVERLOAD_HEADER in told else how
    return ": ".join(part for part in (how, told.get(DEPENDENCY_HEADER, "")) if part)


class Pool:
    """The connections to one address; the one used last is used next, so that idle ones stay idle."""

    def __init__(self, host: str, port: int, *, secure: bool, name: str) -> None:
        self._host, self._port = host, port
        self._tls = ssl.create_default_context() if secure else None
        self._name = name or host
        self._idle: list[Connection] = []

    def request(self, wanted: Request) -> h11.Request:
        """Put a request into HTTP's words."""
        headers = [("host", self._name), ("user-agent", "chaos-load"), ("accept", "*/*"), ("x-user-id", wanted.user)]
        if wanted.method != "GET":
            headers += [("content-type", "application/json"), ("content-length", str(len(wanted.body)))]
        return h11.Request(method=wanted.method, target=wanted.path, headers=headers)

    async def take(self) -> Connection:
        """Return an idle connection or a new one; raises OSError when none can be made."""
        if self._idle:
            return self._idle.pop()
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self._idle.append, self._forget),
            self._host,
            self._port,
            ssl=self._tls,
            server_hostname=self._name if self._tls else None,
        )
        return connection

    def close(self) -> None:
        """Drop every idle connection."""
        for connection in self._idle:
            connection.abort()

    def _forget(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
