"""One attempt over a real connection: read to its end, or lost in one of three ways."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from claude_services.transport import Answer, Connections, SendFailed

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def ask(*handlers: Handler, patience: tuple[float, ...] = (60.0,)) -> list[Answer | str]:
    """Send a GET for each patience, to a server that gives each connection to the next handler."""
    waiting = list(handlers)

    served: list[asyncio.Task[None] | None] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        await waiting.pop(0)(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def run() -> list[Answer | str]:
        server = await asyncio.start_server(one, "127.0.0.1", 0)
        connections = Connections(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        found: list[Answer | str] = []
        for each in patience:
            try:
                found.append(await connections.send("GET", "/v1/agents", {}, None, each))
            except SendFailed as failed:
                found.append(failed.outcome)
        await connections.close()
        server.close()
        await asyncio.gather(*(task for task in served if task))
        return found

    return asyncio.run(run())


def says(text: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)

    return handle


def test_an_answer_is_read_to_its_end() -> None:
    assert ask(says(OK)) == [Answer(200, b"{}")]


def test_a_refusal_for_want_of_room_is_told_apart_from_a_failure() -> None:
    full = says(b"HTTP/1.1 503 No\r\nx-overload: true\r\ncontent-length: 0\r\n\r\n")
    assert ask(full) == [Answer(503, b"", overloaded=True)]
    assert ask(says(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")) == [Answer(503, b"")]


def test_nobody_listening_is_a_failed_connection() -> None:
    async def run() -> None:
        # Held all the while, so that nobody else of this machine is given it and answers.
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            connections = Connections(f"http://127.0.0.1:{held.getsockname()[1]}")
            with pytest.raises(SendFailed, match="connect-failure"):
                await connections.send("GET", "/", {}, None, 60.0)
            await connections.close()

    asyncio.run(run())


def test_silence_is_a_timeout() -> None:
    async def answers_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.read()

    # The second attempt's connection is kept: however slow the machine, the short time is not up before it is accepted.
    assert ask(answers_once, patience=(60.0, 0.05)) == [Answer(200, b"{}"), "timeout"]


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", b"nonsense\r\n\r\n"])
def test_an_answer_that_does_not_end_is_a_reset(begun: bytes) -> None:
    assert ask(says(begun)) == ["reset"]


def test_a_kept_connection_that_dies_is_an_attempt_and_not_tried_again_in_silence() -> None:
    async def once_more_than_it_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")

    found = ask(once_more_than_it_answers, says(OK), patience=(60.0, 60.0, 60.0))
    assert found == [Answer(200, b"{}"), "reset", Answer(200, b"{}")]
