"""A caller tells who was let in from who was turned away, and remembers whom it should not have reached."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from claude_services.calling import Caller, Target, targets

LET_IN = b"HTTP/1.1 404 Not Found\r\nx-served-by: web-1\r\ncontent-length: 0\r\n\r\n"
TURNED_AWAY = b"HTTP/1.1 403 Forbidden\r\nserver: istio-envoy\r\ncontent-length: 0\r\n\r\n"
ELSEWHERE = b"HTTP/1.1 301 Moved Permanently\r\nlocation: https://shop.example/\r\ncontent-length: 0\r\n\r\n"


def called(answer: bytes, *, may: bool, host: str = "", count: int = 1) -> tuple[dict[str, int], int, list[bytes]]:
    """Call a server that gives each connection this answer, or none; return what was got, let in, and asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            writer.close()
            await writer.wait_closed()

    async def run() -> tuple[dict[str, int], int, list[bytes]]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        caller = Caller([Target(may, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/debug", host)])
        async with caller.open():
            (found,) = await caller.call(count, a_second=1000)
        server.close()
        await server.wait_closed()
        return found["got"], caller.let_in(60), asked

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "got"), [(LET_IN, "answered"), (TURNED_AWAY, "403"), (ELSEWHERE, "301"), (b"", "reset")]
)
def test_an_application_s_own_answer_is_told_from_a_proxy_s_and_from_none(answer: bytes, got: str) -> None:
    assert called(answer, may=True, count=3)[0] == {got: 3}


@pytest.mark.parametrize(
    ("answer", "may", "let_in"), [(LET_IN, False, 2), (LET_IN, True, 0), (TURNED_AWAY, False, 0), (b"", False, 0)]
)
def test_only_an_answer_that_must_not_have_been_is_remembered(answer: bytes, may: bool, let_in: int) -> None:
    assert called(answer, may=may, count=2)[1] == let_in


def test_each_call_is_a_connection_of_its_own_and_bears_the_name_that_is_asked_for() -> None:
    _, _, asked = called(LET_IN, may=True, host="api.example", count=2)
    assert len(asked) == 2
    assert all(b"host: api.example\r\n" in request.lower() for request in asked)


def test_where_nobody_listens_a_call_is_no_answer() -> None:
    async def run() -> Sequence[dict[str, Any]]:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        caller = Caller([Target(False, f"http://127.0.0.1:{port}/")])
        async with caller.open():
            return await caller.call(1)

    assert asyncio.run(run())[0]["got"] == {"connect-failure": 1}


def test_what_was_let_in_long_ago_does_not_count() -> None:
    now = 100.0

    async def answered(target: Target) -> str:
        return "answered"

    async def run(ask: Callable[[Target], Awaitable[str]]) -> list[int]:
        nonlocal now
        caller = Caller([Target(False, "http://x/")], clock=lambda: now)
        caller._ask = ask  # type: ignore[method-assign]
        await caller.call(1)
        now += 30
        return [caller.let_in(29), caller.let_in(30)]

    assert asyncio.run(run(answered)) == [0, 1]


def test_targets_are_read_one_a_line() -> None:
    text = "may http://a/x\n\n  may-not http://b/y shop.example\n"
    assert targets(text) == [Target(True, "http://a/x"), Target(False, "http://b/y", "shop.example")]


@pytest.mark.parametrize("text", ["maybe http://a/", "may http://a/ b c"])
def test_a_target_that_cannot_be_read_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="is not `may"):
        targets(text)
