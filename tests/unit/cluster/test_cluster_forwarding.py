"""A port of a pod by way of the API server, spoken to as kubelets speak: websocket frames with a channel in front."""

from __future__ import annotations

import base64
import gc
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.cluster import forwarding
from harness.cluster.kubeconfig.access import Access, Impersonation
from harness.errors import ApiError, ClusterUnreachable

# RFC 6455, 1.3: what a server adds to the key before it answers its digest.
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PORT = 8443
DATA, ERRORS = b"\x00", b"\x01"
Serve = Callable[[socket.socket, str], None]


def head(stream: socket.socket) -> str:
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        text += stream.recv(1)
    return text.decode()


def frame(payload: bytes) -> bytes:
    return bytes([0x82, len(payload)]) + payload


def received(stream: socket.socket) -> bytes:
    """Read a short frame of a client, whose content is masked."""
    _, size = stream.recv(2, socket.MSG_WAITALL)
    mask = stream.recv(4, socket.MSG_WAITALL)
    data = stream.recv(size & 0x7F, socket.MSG_WAITALL)
    return bytes(one ^ mask[at % 4] for at, one in enumerate(data))


def agree(stream: socket.socket, asked: str) -> None:
    """Take over the connection, and name the port on each channel."""
    key = next(line.split(": ")[1] for line in asked.splitlines() if line.lower().startswith("sec-websocket-key"))
    accepted = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    answer += [f"Sec-WebSocket-Accept: {accepted}", "Sec-WebSocket-Protocol: v4.channel.k8s.io", "", ""]
    stream.sendall("\r\n".join(answer).encode())
    for channel in (DATA, ERRORS):
        stream.sendall(frame(channel + PORT.to_bytes(2, "little")))


def backwards(stream: socket.socket, asked: str) -> None:
    """Answer what is sent to the port, backwards."""
    agree(stream, asked)
    got = received(stream)
    stream.sendall(frame(got[:1] + got[:0:-1]))
    while stream.recv(64):
        pass


def refusing(status: str) -> Serve:
    return lambda stream, _: stream.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.fixture
def served() -> Iterator[Callable[[Serve], Access]]:
    """Serve one connection, and give what reaches it; what was asked is kept."""
    threads: list[threading.Thread] = []
    asked.clear()

    def serving(how: Serve) -> Access:
        server = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            with server, server.accept()[0] as stream:
                asked.append(head(stream))
                how(stream, asked[-1])

        threads.append(threading.Thread(target=serve, name="other end of the port forward"))
        threads[-1].start()
        return Access(context="c", server=f"http://127.0.0.1:{server.getsockname()[1]}", token="secret")

    yield serving
    for one in threads:
        one.join()


asked: list[str] = []


def test_what_is_sent_comes_to_the_port_and_back(served):
    with forwarding.opened(served(backwards), "shop", "web-0", PORT) as stream:
        stream.sendall(b"abc")
        assert stream.recv(9) == b"cba"
    first, *headers = asked[0].splitlines()
    assert first == f"GET /api/v1/namespaces/shop/pods/web-0/portforward?ports={PORT} HTTP/1.1"
    assert "authorization: Bearer secret" in headers


def telling_more(stream: socket.socket, asked: str) -> None:
    """Say more than anybody reads, as a server does after a handshake of TLS."""
    agree(stream, asked)
    received(stream)
    stream.sendall(frame(DATA + b"one") + frame(DATA + b"two"))
    while stream.recv(64):
        pass


def test_what_nobody_reads_breaks_nothing_and_leaves_nothing_open(served):
    def ask() -> int:
        with forwarding.opened(served(telling_more), "shop", "web-0", PORT) as stream:
            stream.sendall(b"abc")
            assert stream.recv(1) == b"o"
        gone = [one for one in threading.enumerate() if "port forward" in one.name]
        for one in gone:
            one.join(30)
        assert not any(one.is_alive() for one in gone)
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    first = ask()
    assert [ask(), ask()] == [first, first]


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_right_that_lacks_is_told_as_such(served, status: str):
    with pytest.raises(ApiError) as refused, forwarding.opened(served(refusing(status)), "shop", "web-0", PORT):
        pass
    assert refused.value.status == int(status[:3])


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error"])
def test_a_pod_that_cannot_be_reached_is_no_refusal(served, status: str):
    with (
        pytest.raises(ClusterUnreachable, match=status[:3]),
        forwarding.opened(served(refusing(status)), "shop", "web-0", PORT),
    ):
        pass


def test_an_api_server_that_is_away_is_no_refusal_either():
    # Nobody listens there, and nobody else can.
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        access = Access(context="c", server=f"http://127.0.0.1:{held.getsockname()[1]}")
        with pytest.raises(ClusterUnreachable), forwarding.opened(access, "shop", "web-0", PORT):
            pass


def test_a_stream_that_would_be_had_with_other_rights_is_refused():
    access = Access(context="c", server="http://127.0.0.1:9", impersonation=Impersonation("somebody"))
    with pytest.raises(ApiError, match="leave out") as refused, forwarding.opened(access, "shop", "web-0", PORT):
        pass
    assert refused.value.status == forwarding.REFUSED
