"""A connection that ends while nobody uses it: no operation is sent on it, and what was not sent is sent once more."""

from __future__ import annotations

import asyncio
import select
from typing import Any

import pytest

from harness.load.answer import NotSent
from harness.load.connection import Connection
from harness.load.exchange import Exchange
from harness.load.pool import Pools
from harness.load.requests import Origin, Request
from harness.model.load import Expect
from tests.unit.load.test_load_peers import OK, Reader, Writer, asked


async def answering(reader: Reader, writer: Writer) -> None:
    while True:
        await asked(reader)
        writer.write(OK)


def get(port: int) -> Request:
    return Request(Origin(False, "127.0.0.1", port), "GET", "/", [("host", "127.0.0.1")], b"", Expect())


@pytest.mark.case(8, "a connection that ends just before it is used again", "another one is taken")
def test_a_connection_that_has_just_ended_is_neither_handed_out_nor_sent_on(peers: Any) -> None:
    request = get(peers.start(answering))

    async def main() -> None:
        pool = Pools(None, {}, "").of(request.origin)
        first = await pool.take()
        assert (await first.send(request)).status == 200
        # The loop tells the end of a connection in two steps; an operation may fall due between them.
        first.eof_received()
        second = await pool.take()
        assert second is not first
        with pytest.raises(NotSent):
            first.send(request)
        assert (await second.send(request)).status == 200
        pool.close()

    asyncio.run(main())


@pytest.mark.case(8, "a connection that ends just before it is used again", "another one is taken")
def test_a_connection_that_ended_while_the_load_was_held_up_is_not_handed_out(peers: Any) -> None:
    over = asyncio.Event()

    async def serve(reader: Reader, writer: Writer) -> None:
        await asked(reader)
        writer.write(OK)
        await over.wait()

    request = get(peers.start(serve))

    async def main() -> None:
        pool = Pools(None, {}, "").of(request.origin)
        first = await pool.take()
        assert (await first.send(request)).status == 200
        assert isinstance(first, Connection)
        assert first._transport
        peers.loop.call_soon_threadsafe(over.set)
        # The end has come, and the loop had no time to tell of it.
        there = first._transport.get_extra_info("socket")
        assert select.select([there], [], [], 30)[0] == [there]
        assert await pool.take() is not first
        pool.close()

    asyncio.run(main())


# As proxies do that end an idle connection.
GONE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("told", [False, True])
def test_what_nobody_asked_for_is_no_answer_to_what_is_asked_next(peers: Any, told: bool) -> None:
    idle = asyncio.Event()

    async def serve(reader: Reader, writer: Writer) -> None:
        await asked(reader)
        writer.write(OK)
        await idle.wait()
        writer.write(GONE)
        await reader.read()

    request = get(peers.start(serve))

    async def main() -> None:
        pool = Pools(None, {}, "").of(request.origin)
        first = await pool.take()
        assert (await first.send(request)).status == 200
        assert isinstance(first, Connection)
        assert first._transport
        peers.loop.call_soon_threadsafe(idle.set)
        there = first._transport.get_extra_info("socket")
        assert select.select([there], [], [], 30)[0] == [there]
        while told and not first._transport.is_closing():
            await asyncio.sleep(0)
        second = await pool.take()
        assert second is not first
        assert (await second.send(request)).status == 200
        pool.close()

    asyncio.run(main())


@pytest.mark.case(8, "a connection that ends just as it is used again", "what was not sent is sent once more")
def test_what_could_not_be_sent_is_sent_once_more(peers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request = get(peers.start(answering))

    def ends_after_the_look(connection: Connection) -> bool:
        connection.abort()
        return True

    monkeypatch.setattr(Connection, "usable", ends_after_the_look)

    async def main() -> None:
        pools = Pools(None, {}, "")
        first = await pools.of(request.origin).take()
        assert (await first.send(request)).status == 200
        exchange = Exchange(pools)
        assert (await exchange.run(request, 0, ())).status == 200
        assert exchange.connection is not first
        pools.close()

    asyncio.run(main())
