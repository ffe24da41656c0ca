"""One connection that speaks HTTP/2: many requests at once, and an end in good order.

The protocol itself is the library's. What it does not do is wait for answers that are under way when the server says
that it takes no more requests (GOAWAY), as every server that is restarted gracefully does: those frames are read here.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from harness.load.answer import LARGEST_BODY, Answer, Garbled, NotSent, made
from harness.load.requests import Request

GOAWAY, HEAD_BYTES = 0x7, 9
# Headers that belong to a connection of HTTP/1.1.
UNKNOWN = frozenset({"host", "connection", "keep-alive", "proxy-connection"})
# Nobody is made to wait for room: the answers are thrown away as they come.
WINDOW = 16_777_216
LARGEST_HEAD = 131_072


@dataclass(slots=True)
class _Stream:
    """One request under way: what is still to be sent of it, and what has come of its answer."""

    waiting: asyncio.Future[Answer]
    rest: bytes
    body: bytearray | None
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


class Http2(asyncio.Protocol):
    """One connection, as many requests at once as the server takes; `lost` is told when it takes no more."""

    def __init__(self, lost: Callable[[Http2], None]) -> None:
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self._http = h2.connection.H2Connection(config)
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, _Stream] = {}
        self._unread = b""
        self._leaving = False
        self.used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        codes = h2.settings.SettingCodes
        ours = {codes.ENABLE_PUSH: 0, codes.INITIAL_WINDOW_SIZE: WINDOW, codes.MAX_HEADER_LIST_SIZE: LARGEST_HEAD}
        self._http.local_settings = h2.settings.Settings(client=True, initial_values=ours)
        # A setting for servers only, at which some of them balk.
        del self._http.local_settings[codes.ENABLE_CONNECT_PROTOCOL]
        self._http.initiate_connection()
        self._http.increment_flow_control_window(WINDOW)
        self._flush()

    def usable(self) -> bool:
        """Say whether it takes one more request now."""
        if self._leaving or self._transport is None or self._transport.is_closing():
            return False
        return len(self._streams) < self._http.remote_settings.max_concurrent_streams

    def send(self, request: Request) -> asyncio.Future[Answer]:
        """Send one request; the future gets its answer, or a ConnectionError. Raises NotSent when it takes none."""
        if not self.usable():
            raise NotSent("the connection takes no more requests")
        scheme = "https" if request.origin.secure else "http"
        authority = next((value for name, value in request.headers if name == "host"), str(request.origin))
        pseudo = [
            (":method", request.method),
            (":scheme", scheme),
            (":authority", authority),
            (":path", request.target),
        ]
        headers = pseudo + [(name, value) for name, value in request.headers if name not in UNKNOWN]
        try:
            number = self._http.get_next_available_stream_id()
            self._http.send_headers(number, headers, end_stream=not request.body)
        except h2.exceptions.ProtocolError as error:
            self._leave()
            raise NotSent(str(error)) from error
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._streams[number] = _Stream(waiting, request.body, bytearray() if request.expect.json is not None else None)
        self.used = True
        self._push(number)
        self._flush()
        return waiting

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._http.receive_data(self._without_goaway(data)):
                self._happened(event)
            for number in list(self._streams):
                self._push(number)
            self._flush()
        except (h2.exceptions.ProtocolError, ValueError, IndexError) as error:
            self._end(Garbled("no HTTP/2", str(error)))
            self.abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        self._end(error or ConnectionResetError("the connection was closed before the answer ended"))

    def abort(self) -> None:
        """Drop the connection with whatever is on it."""
        self._leave()
        if self._transport is not None:
            self._transport.abort()

    def give_up(self, waiting: asyncio.Future[Answer] | None) -> None:
        """Expect no answer to one request any more; the others go on, and the next ones take another connection.

        What has not answered in time may be frozen: a client that waited on would ask it for ever.
        """
        number = next((number for number, stream in self._streams.items() if stream.waiting is waiting), None)
        if number is None:
            return
        self._leave()
        del self._streams[number]
        try:
            self._http.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
            self._flush()
        except h2.exceptions.ProtocolError:
            pass
        self._close_when_empty()

    def _happened(self, event: h2.events.Event) -> None:
        number = getattr(event, "stream_id", None) or 0
        stream = self._streams.get(number)
        if isinstance(event, h2.events.DataReceived):
            self._http.acknowledge_received_data(event.flow_controlled_length, number)
            if stream and stream.body is not None and len(stream.body) <= LARGEST_BODY:
                stream.body += event.data
        elif stream is None:
            return
        elif isinstance(event, h2.events.ResponseReceived):
            headers = [(bytes(name), bytes(value)) for name, value in event.headers]
            text = dict(headers).get(b":status", b"")
            if not (text.isdigit() and len(text) == 3 and text >= b"200"):
                raise ValueError("no status")
            stream.status, stream.headers = int(text), headers
        elif isinstance(event, h2.events.StreamEnded):
            answer = made(stream.status, stream.headers, None if stream.body is None else bytes(stream.body))
            self._settle(number, answer)
        elif isinstance(event, h2.events.StreamReset):
            refused = event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM and not stream.status
            self._settle(number, NotSent("refused unread") if refused else ConnectionResetError("the answer was reset"))

    def _without_goaway(self, data: bytes) -> bytes:
        """Take the frames out that say that the server is leaving; return the rest, whole frames only."""
        data = self._unread + data
        at, kept = 0, []
        while len(data) - at >= HEAD_BYTES:
            length = int.from_bytes(data[at : at + 3], "big")
            if len(data) - at < HEAD_BYTES + length:
                if length > self._http.max_inbound_frame_size:
                    raise ValueError("a frame is longer than allowed")
                break
            frame = data[at : at + HEAD_BYTES + length]
            if frame[3] == GOAWAY and length >= 8:
                self._take_leave(struct.unpack_from(">L", frame, HEAD_BYTES)[0] & 0x7FFF_FFFF)
            else:
                kept.append(frame)
            at += HEAD_BYTES + length
        self._unread = data[at:]
        return b"".join(kept)

    def _take_leave(self, last: int) -> None:
        """Send nothing any more; what the server will not look at may be sent to another, the rest is waited for."""
        self._leave()
        for number in [number for number in self._streams if number > last]:
            self._settle(number, NotSent("the server left before it looked at the request"))

    def _push(self, number: int) -> None:
        """Send as much of a request's body as the server has room for."""
        stream = self._streams.get(number)
        while stream and stream.rest:
            try:
                room = min(self._http.local_flow_control_window(number), self._http.max_outbound_frame_size)
                if room <= 0:
                    return
                part, stream.rest = stream.rest[:room], stream.rest[room:]
                self._http.send_data(number, part, end_stream=not stream.rest)
            except h2.exceptions.ProtocolError:
                # It answered without reading on; what is left of the body is of no interest.
                stream.rest = b""

    def _flush(self) -> None:
        if self._transport is not None and (data := self._http.data_to_send()):
            self._transport.write(data)

    def _settle(self, number: int, what: Answer | Exception) -> None:
        waiting = self._streams.pop(number).waiting
        if not waiting.done():
            if isinstance(what, Exception):
                waiting.set_exception(what)
            else:
                waiting.set_result(what)
        self._close_when_empty()

    def _close_when_empty(self) -> None:
        if self._leaving and not self._streams and self._transport is not None:
            self._transport.abort()

    def _leave(self) -> None:
        if not self._leaving:
            self._leaving = True
            self._lost(self)

    def _end(self, error: Exception) -> None:
        for number in list(self._streams):
            self._settle(number, error)
