"""What callers over TLS get who trust one certificate alone, from real servers that show it, or it expired."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.dying import certificate as sample
from harness.cluster import forwarding
from harness.errors import ObservationFailed
from harness.probes import waiting
from harness.targets import certificates
from probes import mesh

SECRET = "/api/v1/namespaces/edge/secrets/shown"
SERVICE = "/api/v1/namespaces/edge/services/way-in"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/edge/endpointslices"
VALID, EXPIRED = sample.CHAIN, certificates.expired(sample.CHAIN, datetime.now(UTC))
REFUSED = "certificate refused, expired"
LONG = 60.0


class Front:
    """A server that shows these certificates in turn, and the last one for ever; None hangs up."""

    def __init__(self, folder: Path) -> None:
        self.shows: list[str | None] = [VALID]
        self.asked: list[tuple[str, str, int]] = []
        self.requests: list[str] = []
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        self._folder = folder
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @contextlib.contextmanager
    def opened(self, _access: Any, namespace: str, pod: str, port: int) -> Iterator[socket.socket]:
        self.asked.append((namespace, pod, port))
        with socket.create_connection(self._listening.getsockname()) as stream:
            yield stream

    def _serve(self) -> None:
        while True:
            stream, _ = self._listening.accept()
            with stream:
                if not self.shows:
                    return
                chain = self.shows.pop(0) if len(self.shows) > 1 else self.shows[0]
                if chain:
                    self._answer(stream, chain)

    def _answer(self, stream: socket.socket, chain: str) -> None:
        paths = self._folder / "crt", self._folder / "key"
        for path, text in zip(paths, (chain, sample.KEY), strict=True):
            path.write_text(text)
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(*paths)
        with contextlib.suppress(OSError), trust.wrap_socket(stream, server_side=True) as secure:
            self.requests.append(secure.recv(4096).decode())
            secure.sendall(self.answer)

    def close(self) -> None:
        self.shows = []
        socket.create_connection(self._listening.getsockname()).close()
        self._thread.join()
        self._listening.close()


@pytest.fixture
def front(api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """A gateway behind a Service, whose certificate is valid and trusted."""
    ports = [{"name": "https", "port": 443}]
    api.answers[SERVICE] = (200, {"spec": {"ports": ports}})
    behind(api, "front-1")
    api.answers[SECRET] = trusted(VALID)
    monkeypatch.setattr(waiting, "LOOK_EVERY", 0.0)
    found = Front(tmp_path)
    monkeypatch.setattr(forwarding, "opened", found.opened)
    yield found
    found.close()


def behind(api: Any, *pods: str) -> None:
    endpoints = [{"targetRef": {"kind": "Pod", "name": name}} for name in pods]
    slices = [{"metadata": {}, "ports": [{"name": "https", "port": 8443}], "endpoints": endpoints}]
    api.answers[SLICES] = (200, {"items": slices})


def trusted(chain: str) -> tuple[int, Any]:
    return 200, {"metadata": {"name": "shown"}, "data": {"tls.crt": base64.b64encode(chain.encode()).decode()}}


def got(**more: Any) -> str:
    return mesh.over_tls("edge", "way-in", 443, "shown", host=sample.HOST, path="/api", **more)


def test_a_caller_who_trusts_the_certificate_is_answered(api: Any, front: Front) -> None:
    assert got() == "200"
    assert front.asked == [("edge", "front-1", 8443)]
    assert front.requests[0].startswith(f"GET /api HTTP/1.1\r\nHost: {sample.HOST}\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 20",
        b"\r\n",
        b"HTTP/1.1\r\n",
        b"220 mail ready\r\n",
        b"x 200 y\r\n",
        b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n",
    ],
)
def test_what_is_no_answer_of_http_is_none(api: Any, front: Front, answer: bytes) -> None:
    front.answer = answer
    assert got() == "no answer"


def test_a_server_that_never_comes_to_a_status_is_not_heard_out(api: Any, front: Front) -> None:
    front.answer = b"x" * 1_000_000
    assert got() == "no answer"


def test_a_caller_refuses_the_same_one_once_it_has_expired(api: Any, front: Front) -> None:
    front.shows, api.answers[SECRET] = [EXPIRED], trusted(EXPIRED)
    assert got() == REFUSED
    assert front.requests == []


def test_a_caller_refuses_one_that_is_not_the_trusted_one(api: Any, front: Front) -> None:
    api.answers[SECRET] = trusted(EXPIRED)
    assert got() == "certificate refused, self-signed"


def test_every_pod_behind_the_service_is_asked(api: Any, front: Front) -> None:
    behind(api, "front-1", "front-2")
    front.shows = [VALID, None]
    assert got() == "200, no answer"
    assert [pod for _, pod, _ in front.asked] == ["front-1", "front-2"]


def test_it_is_asked_until_all_get_what_is_waited_for(api: Any, front: Front) -> None:
    front.shows = [VALID, VALID, EXPIRED]
    api.first[SECRET] = [trusted(VALID), trusted(EXPIRED)]
    api.answers[SECRET] = trusted(EXPIRED)
    assert got(wanted=REFUSED, wait=LONG) == REFUSED
    assert len(front.asked) == 3


def test_what_is_not_got_when_the_time_is_up_is_told(api: Any, front: Front) -> None:
    assert got(wanted=REFUSED, wait=0.05) == "200"


def test_all_that_is_got_from_then_on_is_told(api: Any, front: Front) -> None:
    front.shows = [VALID, EXPIRED, VALID]
    api.first[SECRET] = [trusted(VALID), trusted(EXPIRED)]
    assert got(wanted=REFUSED, wait=LONG, seconds=0.05) == f"200, {REFUSED}"


def test_without_a_pod_behind_it_nobody_knows(api: Any, front: Front) -> None:
    behind(api)
    with pytest.raises(ObservationFailed, match="no pod"):
        got()


@pytest.mark.parametrize("missing", [SECRET, SERVICE])
def test_without_what_is_asked_about_nobody_knows(api: Any, front: Front, missing: str) -> None:
    del api.answers[missing]
    with pytest.raises(ObservationFailed, match="404"):
        got()


@pytest.mark.parametrize("data", [None, {"tls.crt": "bm90aGluZw=="}])
def test_a_secret_that_holds_no_certificate_is_told(api: Any, front: Front, data: Any) -> None:
    api.answers[SECRET] = (200, {"metadata": {"name": "shown"}, "data": data})
    with pytest.raises(ObservationFailed, match="no certificate"):
        got()
