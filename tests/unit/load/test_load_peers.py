"""Whatever the peer does, each operation leaves one record, and the record says what a caller would say."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections import Counter
from typing import Any

import pytest

from harness.load import pool
from harness.load.exchange import Exchange
from harness.load.names import Names
from harness.load.pool import Pool, Pools
from harness.load.requests import Origin
from harness.model.history import Operation

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


async def asked(reader: Reader) -> bytes:
    """Read one request and give its first line; the end of the connection raises."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    await reader.readexactly(int(length.partition(b":")[2]))
    return head.partition(b"\r\n")[0]


def reset(writer: Writer) -> None:
    """Make the end of a connection a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def url(port: int, path: str = "/") -> str:
    return f"http://127.0.0.1:{port}{path}"


def ends(found: list[Operation]) -> set[tuple[int, str]]:
    return {(one.status, one.unanswered) for one in found}


@pytest.mark.case(
    8,
    "a server that closes idle keep-alive connections without notice",
    "every operation is recorded: sent once more where nothing was sent, else as failed",
)
@pytest.mark.parametrize("how", ["at once", "with a reset", "a moment later", "just when the next one is due"])
def test_a_server_that_closes_idle_connections_without_notice_costs_no_operation(
    peers: Any, drive: Any, how: str
) -> None:
    seen: Counter[int] = Counter()
    loop = peers.loop

    async def serve(reader: Reader, writer: Writer) -> None:
        await asked(reader)
        seen["requests"] += 1
        writer.write(OK)
        await writer.drain()
        if how == "with a reset":
            reset(writer)
        elif how != "at once":
            # 40 a second are 25 ms apart.
            later = loop.create_future()
            loop.call_later(0.005 if how == "a moment later" else 0.0249, later.set_result, None)
            await later

    summary, found = drive({"url": url(peers.start(serve))}, seconds=0.75)
    assert summary.operations == len(found) == 30
    assert summary.not_sent == 0
    served = sum(one.ok for one in found)
    assert served == seen["requests"]
    # Where both act in the same moment nobody can know whether it was looked at: that one failed, and is not repeated.
    assert all(one.ok or one.unanswered == "cut off" for one in found)
    if how in ("at once", "with a reset"):
        assert served > 20, "what was closed long before is not used again"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_may_have_been_looked_at_is_not_sent_twice(peers: Any, drive: Any, method: str) -> None:
    lines, used = [], []

    async def serve(reader: Reader, writer: Writer) -> None:
        lines.append(await asked(reader))
        writer.write(OK)
        lines.append(await asked(reader))
        used.append(writer)

    numbers = {name: {"from": 1, "to": 99_999} for name in ("n", "m")}
    load = {"url": url(peers.start(serve), "/pay/${n}/${m}"), "method": method, "values": numbers}
    # Several at once go out each over one of its own.
    _, found = drive(load, seconds=60, until=lambda: len(used) >= 5)
    assert len(lines) == len(set(lines)) == len(found)
    assert ends(found) == {(200, ""), (0, "cut off")}


HEAVY = b"x" * 8_000_000
ANSWERS: dict[str, tuple[bytes, int, str]] = {
    "a body that ends early": (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", 0, "cut off"),
    "chunks that end early": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", 0, "cut off"),
    "chunks without the last": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", 0, "cut off"),
    "a head that ends early": (b"HTTP/1.1 200 OK\r\ncontent-", 0, "cut off"),
    "nothing": (b"", 0, "cut off"),
    "garbage": (b"\x16\x03\x01 what is this\r\n\r\n", 0, "no HTTP"),
    "another protocol": (b"220 mail.example ESMTP\r\n", 0, "no HTTP"),
    "chunks that are none": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n", 0, "no HTTP"),
    "two lengths": (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", 0, "no HTTP"),
    "a length below nothing": (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}", 0, "no HTTP"),
    "a status of four digits": (b"HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\n{}", 0, "no HTTP"),
    "a status of nothing": (b"HTTP/1.1 000 OK\r\ncontent-length: 2\r\n\r\n{}", 0, "no HTTP"),
    "a head without end": (b"HTTP/1.1 200 OK\r\nx-long: " + b"y" * 400_000, 0, "no HTTP"),
    "a switch nobody asked for": (b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\n\r\n", 0, "no HTTP"),
    "a name that is none": (b"HTTP/1.1 200 OK\r\nbad name: 1\r\ncontent-length: 2\r\n\r\n{}", 0, "no HTTP"),
    "HTTP/1.0 with a length": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}", 200, ""),
    "HTTP/1.0 without": (b"HTTP/1.0 200 OK\r\n\r\n{}", 200, ""),
    "HTTP/1.1 without": (b"HTTP/1.1 200 OK\r\n\r\n{}", 200, ""),
    "chunks": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nx-t: 1\r\n\r\n", 200, ""),
    "an early hint": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" + OK, 200, ""),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
    "more than it said": (OK + b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", 200, ""),
    "eight megabytes": (b"HTTP/1.1 200 OK\r\ncontent-length: 8000000\r\n\r\n" + HEAVY, 200, ""),
    "names in latin-1": (b"HTTP/1.1 200 OK\r\nx-served-by: caf\xe9\r\ncontent-length: 2\r\n\r\n{}", 200, ""),
    "more tries than fit": (
        b"HTTP/1.1 200 OK\r\nx-envoy-attempt-count: " + b"9" * 5000 + b"\r\ncontent-length: 2\r\n\r\n{}",
        200,
        "",
    ),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n", 304, ""),
    "a failure": (b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", 503, ""),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_each_answer_is_recorded_as_a_caller_sees_it(peers: Any, drive: Any, what: str) -> None:
    answer, status, unanswered = ANSWERS[what]

    async def serve(reader: Reader, writer: Writer) -> None:
        await asked(reader)
        writer.write(answer)
        await writer.drain()

    # This server ends each connection without a word: the next request must not be on its way there by then.
    alone = {"connection": "close"}
    _, found = drive({"url": url(peers.start(serve)), "headers": alone}, seconds=0.1)
    assert len(found) == 4
    assert ends(found) == {(status, unanswered)}
    assert {one.ok for one in found} == {200 <= status < 400}


@pytest.mark.parametrize("drip", [b"", b"H", b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"])
def test_an_answer_that_does_not_end_in_time_is_timed_out(peers: Any, drive: Any, drip: bytes) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await asked(reader)
        writer.write(drip)
        while not reader.at_eof():
            writer.write(b"x" if drip else b"")
            await asyncio.sleep(0.01)

    _, found = drive({"url": url(peers.start(serve)), "timeout": "200ms"}, seconds=0.1)
    if drip == b"H":
        assert ends(found) <= {(0, "timed out"), (0, "no HTTP")}
    else:
        assert ends(found) == {(0, "timed out")}


def test_a_connection_that_is_reset_or_closed_at_once_is_cut_off(peers: Any, drive: Any) -> None:
    async def close(reader: Reader, writer: Writer) -> None:
        return

    async def cut(reader: Reader, writer: Writer) -> None:
        await asked(reader)
        reset(writer)

    for serve in (close, cut):
        _, found = drive({"url": url(peers.start(serve))}, seconds=0.2)
        assert {one.status for one in found} == {0}
        assert {one.unanswered for one in found} <= {"cut off", "refused"}


def test_nobody_there_is_refused(peers: Any, drive: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        _, found = drive({"url": url(free.getsockname()[1])}, seconds=0.1)
    assert ends(found) == {(0, "refused")}


def test_a_name_that_nobody_knows_is_said(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The one thing that no server on this machine can do is to be unknown to the resolver.
    looks = []

    def unknown(name: str, *_: Any, **__: Any) -> None:
        looks.append(name)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    _, found = drive({"url": "http://nobody.invalid:1/"}, seconds=0.2, allow=["nobody.invalid"])
    assert ends(found) == {(0, "name not found")}
    assert set(looks) == {"nobody.invalid"}


def test_a_resolver_that_hangs_holds_up_neither_the_load_nor_its_end(
    drive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threading import Event

    released, looks = Event(), []

    def hang(name: str, *_: Any, **__: Any) -> None:
        looks.append(name)
        released.wait(20)
        raise socket.gaierror(-3, "again")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        _, found = drive({"url": "http://nobody.invalid:1/", "timeout": "100ms"}, allow=["nobody.invalid"])
    finally:
        released.set()
    assert ends(found) == {(0, "timed out")}
    assert looks == ["nobody.invalid"], "one lookup at a time"


def test_an_answer_before_the_request_was_read_is_recorded(peers: Any, drive: Any) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()

    _, found = drive({"url": url(peers.start(serve)), "method": "PUT", "body": "x" * 900_000}, seconds=0.2)
    assert len(found) == 8
    assert ends(found) <= {(413, ""), (0, "cut off")}


def test_what_goes_wrong_in_the_load_itself_is_recorded_and_blames_nobody(
    peers: Any, drive: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        while True:
            await asked(reader)
            writer.write(OK)

    async def broken(self: Exchange, *_: Any) -> None:
        raise ValueError("nobody thought of this")

    port = peers.start(serve)
    monkeypatch.setattr(Exchange, "run", broken)
    summary, found = drive({"url": url(port)}, seconds=0.2)
    assert summary.not_sent == len(found) == 8
    assert all(one.unsent and not one.punctual for one in found)
    assert capfd.readouterr().err.count("ValueError: nobody thought of this") == 1


def test_head_and_empty_posts_are_framed(peers: Any, drive: Any) -> None:
    heads = []

    async def serve(reader: Reader, writer: Writer) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            heads.append(head)
            body = b"" if head.startswith(b"HEAD") else b"{}"
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n" + body)

    port = peers.start(serve)
    for method in ("HEAD", "POST", "OPTIONS", "DELETE"):
        _, found = drive({"url": url(port), "method": method}, seconds=0.1)
        assert ends(found) == {(200, "")}
    assert any(b"content-length: 0" in head for head in heads if head.startswith(b"POST"))


def test_connections_are_kept_for_the_next_operation(peers: Any, drive: Any) -> None:
    ports, lines = set(), []

    async def serve(reader: Reader, writer: Writer) -> None:
        ports.add(writer.get_extra_info("peername"))
        while True:
            lines.append(await asked(reader))
            writer.write(OK)

    # On a machine that holds the load up, several are sent together, each over one of its own.
    _, found = drive({"url": url(peers.start(serve))}, seconds=60, until=lambda: len(lines) >= 2 * len(ports) > 0)
    assert ends(found) == {(200, "")}
    assert len(ports) < len(found) == len(lines)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EADDRNOTAVAIL])
def test_what_this_machine_has_no_more_of_is_not_blamed_on_the_system(
    drive: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    async def exhausted(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Pool, "_connect_to", exhausted)
    summary, found = drive({"url": "http://127.0.0.1:1/"}, seconds=0.1)
    assert summary.not_sent == len(found) == 4
    assert all(one.unsent and not one.punctual for one in found)


@pytest.mark.anyio
async def test_an_address_that_does_not_answer_leaves_the_next_one_to_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "NEXT_SECONDS", 0.01)
    tried = []

    async def connect(_: Pool, address: str) -> str:
        tried.append(address)
        await asyncio.sleep(0 if address == "192.0.2.2" else 60)
        return address

    monkeypatch.setattr(Pool, "_connect_to", connect)
    monkeypatch.setattr(Names, "find", _two)
    taken = Pools(None, {}, "1.1").of(Origin(False, "shop.example", 80)).take()
    assert await asyncio.wait_for(taken, 30) == "192.0.2.2"
    assert tried == ["192.0.2.1", "192.0.2.2"]


async def _two(*_: Any) -> list[str]:
    return ["192.0.2.1", "192.0.2.2"]


@pytest.mark.anyio
async def test_a_connection_that_hangs_holds_up_none_of_those_who_could_have_shared_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "SHARED_SECONDS", 0.01)
    made = []

    async def connect(*_: Any) -> str:
        made.append("one")
        await asyncio.sleep(60 if len(made) == 1 else 0)
        return "another"

    monkeypatch.setattr(Pool, "_connect", connect)
    shared = Pools(None, {}, "2").of(Origin(False, "shop.example", 80))
    hanging = asyncio.ensure_future(shared.take())
    await asyncio.sleep(0)
    assert await asyncio.wait_for(shared.take(), 30) == "another"
    hanging.cancel()
