"""A real HTTP server on this machine that stalls, cuts and tells who it is on demand."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.journal import operations
from harness.load import pool, process
from harness.load import spec as specs
from harness.load.generator import Generator, Summary
from harness.load.records import Writer
from harness.model.history import Operation

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
        """Answer nobody, or everybody again; whoever connects after this is answered so."""
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
    assert started.wait(60)
    yield found
    assert found.loop is not None
    found.loop.call_soon_threadsafe(found.end)  # type: ignore[attr-defined]
    thread.join(60)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peers:
    """Servers of one's own on 127.0.0.1, each as ill-mannered as its coroutine."""

    loop: asyncio.AbstractEventLoop
    _open: list[asyncio.Server] = field(default_factory=list)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _serving: set[asyncio.Task[Any]] = field(default_factory=set)

    def start(self, serve: Serve, tls: ssl.SSLContext | None = None) -> int:
        """Start one server and give its port."""

        async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                pass
            finally:
                writer.close()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.append(writer)
            self._serving.add(self.loop.create_task(quietly(reader, writer)))

        async def listen() -> int:
            server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
            self._open.append(server)
            return int(server.sockets[0].getsockname()[1])

        return asyncio.run_coroutine_threadsafe(listen(), self.loop).result(60)

    async def end(self) -> None:
        """End every connection; one that is just being accepted is let in first, or asyncio would leave it open."""
        ends = self.loop.time() + 30
        while (accepting := self._others() - self._serving) and self.loop.time() < ends:
            await asyncio.wait(accepting, timeout=1)
        for server in self._open:
            server.close()
        for task in self._others():
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._others(), return_exceptions=True)

    def _others(self) -> set[asyncio.Task[Any]]:
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


@pytest.fixture
def peers() -> Iterator[Peers]:
    loop = asyncio.new_event_loop()
    # What a peer leaves unsaid is none of the test's business.
    loop.set_exception_handler(lambda _loop, _context: None)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    found = Peers(loop)
    yield found
    asyncio.run_coroutine_threadsafe(found.end(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)
    loop.close()


async def driven(load: Generator, until: Callable[[], bool] | None) -> Summary:
    """Run a load to its end, or until something is true."""
    stop = asyncio.Event()

    async def watch() -> None:
        while until and not until():
            await asyncio.sleep(0.01)
        if until:
            stop.set()

    watching = asyncio.ensure_future(watch())
    try:
        return await load.run(stop)
    finally:
        watching.cancel()


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """How long a connection takes, or a load's process to end, is the machine's affair."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "SPARE_SECONDS", 30.0)
        for name in ("NEXT_SECONDS", "SHARED_SECONDS"):
            patch.setattr(pool, name, 30.0)
        yield


@pytest.fixture
def drive(tmp_path: Path) -> Callable[..., tuple[Summary, list[Operation]]]:
    """Run one load to its end, or until something is true; gives its summary and its operations."""

    def run(
        load: dict[str, Any], *, seconds: float = 0.5, until: Callable[[], bool] | None = None, **more: Any
    ) -> tuple[Summary, list[Operation]]:
        directory = Path(tempfile.mkdtemp(dir=tmp_path))
        told = {"load": {"rate": "40/s", "timeout": "30s", **load}, "folder": str(tmp_path), "seconds": seconds, **more}
        spec = specs.from_mapping({**told, "out": directory / operations.FILE})

        async def main(writer: Writer) -> Summary:
            return await driven(Generator(spec, writer), until)

        with Writer(spec.out) as writer:
            summary = asyncio.run(main(writer))
        found = operations.tail(directory, 0, since=-1.0)
        assert summary.operations == len(found), "an operation was made and not recorded"
        return summary, found

    return run


@dataclass(frozen=True)
class Pki:
    """Certificates of this machine alone: an authority, a server's for localhost, one for another host, a client's."""

    folder: Path

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def server(self, name: str = "server", *, client: bool = False, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(f"{name}.pem"), self.path(f"{name}.key"))
        if client:
            context.load_verify_locations(self.path("ca.pem"))
            context.verify_mode = ssl.CERT_REQUIRED
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")

    def make(name: str, san: str, *more: str) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")
        extension = ("-addext", f"subjectAltName={san}") if san else ()
        words = ("openssl", "req", "-x509", *key, "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}")
        subprocess.run([*words, *extension, *more], cwd=folder, check=True, capture_output=True)

    make("ca", "")
    by_ca = ("-CA", "ca.pem", "-CAkey", "ca.key")
    make("server", "DNS:localhost,IP:127.0.0.1", *by_ca)
    make("other", "DNS:other.example", *by_ca)
    make("client", "", *by_ca)
    encrypt = ("openssl", "pkey", "-in", "client.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")
    subprocess.run(encrypt, cwd=folder, check=True, capture_output=True)
    return Pki(folder)
