"""TLS and HTTP/2: mistrusting by default, what both sides settled on, and every end of a connection recorded."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest

from harness.errors import UsageError
from harness.model.history import Operation

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


async def plain(reader: Reader, writer: Writer) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()


def ends(found: list[Operation]) -> set[tuple[int, str]]:
    return {(one.status, one.unanswered) for one in found}


def test_an_authority_of_ones_own_is_trusted_by_name(peers: Any, drive: Any, pki: Any) -> None:
    port = peers.start(plain, pki.server())
    for host in ("127.0.0.1", "localhost"):
        _, found = drive({"url": f"https://{host}:{port}/", "tls": {"ca": pki.path("ca.pem")}}, seconds=0.2)
        assert ends(found) == {(200, "")}


@pytest.mark.parametrize(
    ("server", "tls", "end"),
    [
        ("server", {}, (0, "certificate refused, unknown authority")),
        ("other", {"ca": "ca.pem"}, (0, "certificate refused, another host")),
        ("other", {"ca": "ca.pem", "server-name": "other.example"}, (200, "")),
        ("other", {"verify": False}, (200, "")),
        ("ca", {}, (0, "certificate refused, self-signed")),
    ],
)
def test_a_server_must_prove_who_it_is_unless_the_document_says_otherwise(
    peers: Any, drive: Any, pki: Any, server: str, tls: dict[str, Any], end: tuple[int, str]
) -> None:
    told = {key: pki.path(value) if key == "ca" else value for key, value in tls.items()}
    load = {"url": f"https://127.0.0.1:{peers.start(plain, pki.server(server))}/", **({"tls": told} if told else {})}
    _, found = drive(load, seconds=0.1)
    assert ends(found) == {end}


def test_a_client_proves_who_it_is_with_its_certificate(peers: Any, drive: Any, pki: Any) -> None:
    load = {"url": f"https://127.0.0.1:{peers.start(plain, pki.server(client=True))}/"}
    mine = {"ca": pki.path("ca.pem"), "certificate": pki.path("client.pem"), "key": pki.path("client.key")}
    _, found = drive({**load, "tls": mine}, seconds=0.1)
    assert ends(found) == {(200, "")}
    _, found = drive({**load, "tls": {"ca": pki.path("ca.pem")}}, seconds=0.1)
    assert {one.status for one in found} == {0}
    # The server's word and its end arrive together, and a reset throws away what was not read yet.
    assert {one.unanswered for one in found} <= {"no TLS, tlsv13 alert certificate required", "cut off"}


@pytest.mark.parametrize(
    ("key", "what"), [("locked.key", "the key is encrypted"), ("server.key", "the load cannot speak TLS")]
)
def test_a_key_that_does_not_fit_is_refused_before_anything_is_sent(drive: Any, pki: Any, key: str, what: str) -> None:
    tls = {"certificate": pki.path("client.pem"), "key": pki.path(key)}
    with pytest.raises(UsageError, match=what):
        drive({"url": "https://127.0.0.1:1/", "tls": tls})


def test_a_server_without_tls_is_no_tls(peers: Any, drive: Any) -> None:
    async def grumble(reader: Reader, writer: Writer) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    _, found = drive({"url": f"https://127.0.0.1:{peers.start(grumble)}/"}, seconds=0.1)
    assert {one.status for one in found} == {0}
    assert all(one.unanswered.startswith("no TLS") for one in found)


class Two:
    """A server of HTTP/2; `act` may do something else than answer."""

    def __init__(self, act: Callable[[Two, int, Any], bool] | None = None, **settings: int) -> None:
        self.act, self.settings = act, settings
        self.connections = 0
        self.seen: list[tuple[int, dict[bytes, bytes], bytes]] = []

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        self.connections += 1
        self.writer = writer
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        http.initiate_connection()
        if self.settings:
            http.update_settings(
                {getattr(h2.settings.SettingCodes, key): value for key, value in self.settings.items()}
            )
        writer.write(http.data_to_send())
        asked: dict[int, tuple[dict[bytes, bytes], bytearray]] = {}
        while data := await reader.read(65_536):
            for event in http.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    asked[event.stream_id] = (dict(event.headers), bytearray())
                elif isinstance(event, h2.events.DataReceived):
                    asked[event.stream_id][1].extend(event.data)
                    http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    headers, body = asked.pop(event.stream_id)
                    self.seen.append((event.stream_id, headers, bytes(body)))
                    if not (self.act and self.act(self, event.stream_id, http)):
                        self.answer(http, event.stream_id)
            writer.write(http.data_to_send())
            await writer.drain()

    def answer(self, http: Any, number: int, status: str = "200") -> None:
        http.send_headers(number, [(":status", status), ("x-served-by", "two")])
        http.send_data(number, b'{"state": "ok"}', end_stream=True)


@pytest.fixture
def over_tls(pki: Any) -> ssl.SSLContext:
    context: ssl.SSLContext = pki.server(alpn=("h2", "http/1.1"))
    return context


def test_http_2_is_spoken_where_both_sides_can(peers: Any, drive: Any, pki: Any, over_tls: ssl.SSLContext) -> None:
    two = Two()
    load = {
        "url": f"https://127.0.0.1:{peers.start(two, over_tls)}/cart?a=b",
        "tls": {"ca": pki.path("ca.pem")},
        "body": {"n": 1},
        "headers": {"x-shop": "1"},
        "expect": {"json": {"state": "ok"}},
    }
    _, found = drive(load, seconds=0.5)
    assert {(one.status, one.ok, one.served_by) for one in found} == {(200, True, "two")}
    _, headers, body = two.seen[0]
    assert (headers[b":method"], headers[b":path"], headers[b"x-shop"], body) == (
        b"POST",
        b"/cart?a=b",
        b"1",
        b'{"n": 1}',
    )
    assert b"host" not in headers
    assert two.connections < 5, "one connection carries many requests"


def test_http_1_1_is_spoken_where_the_document_says_so(
    peers: Any, drive: Any, pki: Any, over_tls: ssl.SSLContext
) -> None:
    load = {"url": f"https://127.0.0.1:{peers.start(plain, over_tls)}/", "tls": {"ca": pki.path("ca.pem")}, "http": 1.1}
    _, found = drive(load, seconds=0.1)
    assert ends(found) == {(200, "")}


def test_http_2_without_tls_is_spoken_where_the_document_says_so(peers: Any, drive: Any) -> None:
    two = Two()
    _, found = drive({"url": f"http://127.0.0.1:{peers.start(two)}/", "http": 2}, seconds=0.3)
    assert ends(found) == {(200, "")}
    assert two.connections == 1


def test_a_server_without_http_2_is_no_http_2(peers: Any, drive: Any, pki: Any) -> None:
    secure = {"url": f"https://127.0.0.1:{peers.start(plain, pki.server())}/", "tls": {"ca": pki.path("ca.pem")}}
    for load in (secure, {"url": f"http://127.0.0.1:{peers.start(plain)}/"}):
        _, found = drive({**load, "http": "2"}, seconds=0.1)
        assert ends(found) <= {(0, "no HTTP/2"), (0, "cut off")}


def test_a_server_that_leaves_in_good_order_costs_no_operation(peers: Any, drive: Any) -> None:
    left: set[Any] = set()

    def leave(two: Two, number: int, http: Any) -> bool:
        # The next connection stays: an operation is sent once more, and not a third time.
        if number < 9 or left - {http}:
            return False
        if http in left:
            two.seen.pop()
            return True
        left.add(http)
        # It still answers what it has, and nothing after that.
        two.writer.write(http.data_to_send())
        frame = (8).to_bytes(3, "big") + b"\x07\x00" + bytes(4) + number.to_bytes(4, "big") + bytes(4)
        two.writer.write(frame)
        two.answer(http, number)
        return True

    two = Two(leave)
    _, found = drive({"url": f"http://127.0.0.1:{peers.start(two)}/", "http": 2}, seconds=0.8)
    assert ends(found) == {(200, "")}
    assert two.connections > 1
    assert len(two.seen) == len(found)


@pytest.mark.case(8, "a connection that ends just as it is used again", "what was not sent is sent once more")
def test_what_a_server_refused_unread_is_sent_once_more(peers: Any, drive: Any) -> None:
    refused: list[int] = []

    def refuse(two: Two, number: int, http: Any) -> bool:
        if number == 3 and not refused:
            refused.append(number)
            http.reset_stream(number, h2.errors.ErrorCodes.REFUSED_STREAM)
            return True
        return False

    two = Two(refuse)
    _, found = drive({"url": f"http://127.0.0.1:{peers.start(two)}/", "http": 2}, seconds=0.5)
    assert ends(found) == {(200, "")}
    assert len(two.seen) > len(found)


@pytest.mark.parametrize("how", ["reset", "closed", "garbage", "silence"])
def test_what_may_have_been_looked_at_is_recorded_as_failed(peers: Any, drive: Any, how: str) -> None:
    def fail(two: Two, number: int, http: Any) -> bool:
        if number < 5:
            return False
        if how == "reset":
            http.reset_stream(number, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif how == "closed":
            two.writer.close()
        elif how == "garbage":
            two.writer.write(b"\xff" * 100)
        return True

    two = Two(fail)
    # Only who is silent is to run into the limit.
    limit = {"timeout": "300ms"} if how == "silence" else {}
    _, found = drive({"url": f"http://127.0.0.1:{peers.start(two)}/", "http": 2, **limit}, seconds=0.5)
    wrong = {"reset": "cut off", "closed": "cut off", "garbage": "no HTTP/2", "silence": "timed out"}[how]
    assert (0, wrong) in ends(found)
    assert ends(found) <= {(200, ""), (0, wrong), (0, "refused"), (0, "cut off")}


def test_a_server_with_little_room_gets_what_it_takes(peers: Any, drive: Any) -> None:
    two = Two(INITIAL_WINDOW_SIZE=1000, MAX_CONCURRENT_STREAMS=1)
    load = {"url": f"http://127.0.0.1:{peers.start(two)}/", "http": 2, "body": "x" * 8_000}
    _, found = drive(load, seconds=0.3)
    assert ends(found) == {(200, "")}
    assert {len(body) for _, _, body in two.seen} == {8_000}


def test_a_name_that_ends_with_a_dot_is_proven_without_it(
    peers: Any, drive: Any, pki: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = peers.start(plain, pki.server())
    here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, *_, **__: here if name == "localhost." else [])
    load = {"url": f"https://localhost.:{port}/", "tls": {"ca": pki.path("ca.pem")}}
    _, found = drive(load, seconds=0.1, allow=["localhost."])
    assert ends(found) == {(200, "")}


@pytest.mark.parametrize("status", [b"000", b"099", b"20", b"abc"])
def test_a_status_of_http_2_that_is_none_is_no_http_2(peers: Any, drive: Any, status: bytes) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.read(65_536)
        # Settings, the end of the client's, and headers: an indexed name (:status), a literal value.
        block = b"\x08" + bytes([len(status)]) + status
        head = len(block).to_bytes(3, "big") + b"\x01\x05\x00\x00\x00\x01" + block
        writer.write(bytes.fromhex("000000040000000000000000040100000000") + head)
        await writer.drain()
        await reader.read()

    load = {"url": f"http://127.0.0.1:{peers.start(serve)}/", "http": 2, "rate": "10/s"}
    _, found = drive(load, seconds=0.05)
    assert ends(found) == {(0, "no HTTP/2")}
