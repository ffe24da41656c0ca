"""Two proxies on this machine, one of HTTP and one of SOCKS 5, that count what goes through them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Tunnel:
    """A proxy and how many connections it has carried."""

    url: str
    carried: int = 0


@contextlib.contextmanager
def tunnel(scheme: str) -> Iterator[Tunnel]:
    """Run a proxy of a scheme (http or socks5) for as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = Tunnel(f"{scheme}://127.0.0.1:{server.getsockname()[1]}")
        threading.Thread(
            target=_serve, args=(server, found, _http if scheme == "http" else _socks), daemon=True
        ).start()
        yield found


def _serve(server: socket.socket, found: Tunnel, greet: object) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_carry, args=(client, found, greet), daemon=True).start()


def _carry(client: socket.socket, found: Tunnel, greet: object) -> None:
    with contextlib.suppress(OSError, ValueError), client:
        host, port, done = greet(client)  # type: ignore[operator]
        with socket.create_connection((host, port)) as server:
            found.carried += 1
            client.sendall(done)
            threads = [
                threading.Thread(target=_pump, args=pair, daemon=True) for pair in ((client, server), (server, client))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _http(client: socket.socket) -> tuple[str, int, bytes]:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    host, _, port = head.split()[1].decode().rpartition(":")
    return host.strip("[]"), int(port), b"HTTP/1.1 200 OK\r\n\r\n"


def _socks(client: socket.socket) -> tuple[str, int, bytes]:
    _exactly(client, _exactly(client, 2)[1])
    client.sendall(b"\x05\x00")
    kind = _exactly(client, 4)[3]
    if kind == 3:
        host = _exactly(client, _exactly(client, 1)[0]).decode()
    else:
        family = socket.AF_INET if kind == 1 else socket.AF_INET6
        host = socket.inet_ntop(family, _exactly(client, 4 if kind == 1 else 16))
    port = int.from_bytes(_exactly(client, 2))
    return host, port, b"\x05\x00\x00\x01" + bytes(6)


def _exactly(client: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        chunk = client.recv(count - len(found))
        if not chunk:
            raise OSError("closed")
        found += chunk
    return found
