"""A real HTTP server on this machine that stalls, cuts and tells who it is on demand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

HEAD = "HTTP/1.1 {status}\r\nx-served-by: {name}\r\n"


@dataclass
class Server:
    port: int = 0
    name: str = "claude-orchestrator-7d9f-x2x4z"
    attempts: int | None = 1
    status: str = "200 OK"
    chunked: bool = False
    close: bool = False
    headers: str = ""
    cut: bool = False
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    connections: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    loop: asyncio.AbstractEventLoop | None = None
    heard: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stall(self, stalled: bool) -> None:
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.open.clear if stalled else self.open.set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while line := await reader.readline():
                headers: dict[str, str] = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    key, _, value = header.partition(": ")
                    headers[key.lower()] = value
                await reader.readexactly(int(headers.get("content-length", 0)))
                self.seen.append((line.decode().strip(), headers))
                self.heard.set()
                await self.open.wait()
                if self.cut:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
                    await writer.drain()
                    break
                head = HEAD.format(status=self.status, name=self.name)
                head += f"x-envoy-attempt-count: {self.attempts}\r\n" if self.attempts is not None else ""
                head += self.headers + ("connection: close\r\n" if self.close else "")
                body = (
                    "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
                    if self.chunked
                    else "content-length: 2\r\n\r\n{}"
                )
                writer.write((head + body).encode())
                await writer.drain()
                if self.close:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
def server() -> Iterator[Server]:
    found, started = Server(), threading.Event()

    def work() -> None:
        async def main() -> None:
            found.loop, ended = asyncio.get_running_loop(), asyncio.Event()
            found.open.set()
            listening = await asyncio.start_server(found.serve, "127.0.0.1", 0)
            found.port = listening.sockets[0].getsockname()[1]
            found.end = ended.set  # type: ignore[attr-defined]
            started.set()
            await ended.wait()
            listening.close()

        asyncio.run(main())

    thread = threading.Thread(target=work)
    thread.start()
    started.wait(10)
    yield found
    assert found.loop is not None
    found.loop.call_soon_threadsafe(found.end)  # type: ignore[attr-defined]
    thread.join(10)
