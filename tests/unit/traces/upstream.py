"""A callee that does as it is told and writes down what reached it: the ground truth of a trace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from harness.checkers.traces.calls import Attempt, Outcome

TRIED = "x-attempt"
ID = "x-request-id"


@dataclass(frozen=True, slots=True)
class Does:
    """What is done with a request: how it ends, and after how long."""

    outcome: Outcome
    seconds: float = 0.05


OK = Does(Outcome.OK)
FAILS = Does(Outcome.SERVER_ERROR)
KNOWS_NOT = Does(Outcome.CLIENT_ERROR)
HANGS = Does(Outcome.OK, 30.0)

ANSWERS = {
    Outcome.OK: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    Outcome.CLIENT_ERROR: b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
    Outcome.SERVER_ERROR: b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n",
    Outcome.OVERLOADED: b"HTTP/1.1 503 No\r\nx-overload: true\r\ncontent-length: 0\r\n\r\n",
}
Script = Callable[[str, float], Does]
"""Host and time to what it does."""


class Upstream:
    """One callee of several hosts, each with a port of its own on this machine.

    What is begun has its effect, whatever the caller hears of it; one that heeds keys has it once for each call.
    """

    def __init__(self, script: Script, hosts: tuple[str, ...] = ("a",), *, heeds_keys: bool = True) -> None:
        self.hosts, self.attempts = hosts, list[Attempt]()
        self.held: set[tuple[str, int]] = set()
        self.urls: dict[str, str] = {}
        self._script, self._heeds_keys = script, heeds_keys
        self._done: set[str] = set()
        self._servers: list[asyncio.Server] = []
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        for host in self.hosts:
            server = await asyncio.start_server(self._connected(host), "127.0.0.1", 0)
            self.urls[host] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._servers.append(server)

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        await asyncio.gather(*self._serving)

    def _connected(self, host: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._serve(host, reader, writer))
            self._serving.add(task)

        return connected

    async def _serve(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A caller that goes away ends the reading, whatever it was at.
        with suppress(asyncio.IncompleteReadError, OSError):
            while await self._answered(host, reader, writer):
                pass
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _answered(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")[1:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        await reader.readexactly(int(headers.get("content-length", "0")))
        clock = asyncio.get_running_loop().time
        key, start = (headers[ID], int(headers[TRIED])), clock()
        does = self._script(host, start)
        effect = does.outcome in (Outcome.OK, Outcome.RESET) and not (self._heeds_keys and key[0] in self._done)
        if effect:
            self._done.add(key[0])
        self.held.add(key)
        gone = asyncio.ensure_future(reader.read(1))
        left, _ = await asyncio.wait({gone}, timeout=does.seconds)
        gone.cancel()
        await asyncio.wait({gone})
        self.held.discard(key)
        outcome = Outcome.TIMEOUT if left else does.outcome
        self.attempts.append(Attempt(key[0], key[1], host, start, clock(), outcome, effect))
        if left or outcome not in ANSWERS:
            writer.transport.abort()
            return False
        writer.write(ANSWERS[outcome])
        return True
