"""A certificate with other dates: what stays, what a server makes of it, and what a handshake shows."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.dying import certificate as sample
from harness.errors import ApiError, ObservationFailed
from harness.targets import certificates, handshakes

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
UNTIL = datetime(2126, 11, 5, 20, 32, 24, tzinfo=UTC)


def files(folder: Path, chain: str) -> tuple[str, str]:
    paths = folder / "tls.crt", folder / "tls.key"
    for path, text in zip(paths, (chain, sample.KEY), strict=True):
        path.write_text(text)
    return str(paths[0]), str(paths[1])


def facts(folder: Path, chain: str) -> dict[str, Any]:
    """Read a certificate by another reader than ours."""
    path, _ = files(folder, chain)
    found: dict[str, Any] = ssl._ssl._test_decode_cert(path)  # type: ignore[attr-defined]
    return found


def test_it_ends_when_another_reader_says_so(tmp_path: Path):
    end = ssl.cert_time_to_seconds(facts(tmp_path, sample.CHAIN)["notAfter"])
    assert certificates.ends(certificates.first(sample.CHAIN)) == datetime.fromtimestamp(end, UTC) == UNTIL


def test_all_but_the_dates_stays(tmp_path: Path):
    before = facts(tmp_path, sample.CHAIN)
    after = facts(tmp_path, certificates.expired(sample.CHAIN, NOW))
    same = [name for name in before if name not in ("notBefore", "notAfter")]
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    begin, end = (ssl.cert_time_to_seconds(after[name]) for name in ("notBefore", "notAfter"))
    assert datetime.fromtimestamp(end, UTC) == NOW - timedelta(days=1)
    assert end - begin == timedelta(days=36500).total_seconds()


def test_only_the_first_of_a_chain_is_changed():
    other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    chain = certificates.expired(sample.CHAIN + other, NOW)
    assert chain.endswith(other)
    assert chain != sample.CHAIN + other
    assert certificates.expired(chain, NOW) == chain


def test_a_server_takes_it_with_its_key(tmp_path: Path):
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(*files(tmp_path, certificates.expired(sample.CHAIN, NOW)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "words",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nAgEB\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate_is_told_as_such(text: str):
    with pytest.raises(ValueError, match="certificate"):
        certificates.ends(certificates.first(text))


@pytest.mark.parametrize("value", [None, "", "not base 64", base64.b64encode(b"\xff").decode()])
def test_a_value_that_holds_no_text_holds_no_certificate(value: str | None):
    with pytest.raises(ValueError, match="certificate"):
        certificates.first(certificates.decoded(value))


def test_a_handshake_shows_what_a_server_serves_whatever_it_is_worth(tmp_path: Path):
    ours, theirs = socket.socketpair()
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(*files(tmp_path, certificates.expired(sample.CHAIN, NOW)))
    asked = list[str | None]()
    trust.sni_callback = lambda _, name, __: asked.append(name)

    def serve() -> None:
        with contextlib.suppress(OSError), trust.wrap_socket(theirs, server_side=True) as served:
            served.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        found = handshakes.certificate(ours, sample.HOST)
    thread.join()
    assert found
    assert certificates.ends(found) == NOW - timedelta(days=1)
    assert asked == [sample.HOST]


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_speaks_no_tls_shows_none(said: bytes):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(OSError, match=r".+"):
            handshakes.certificate(ours, "")


SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
SERVICE = "/api/v1/namespaces/shop/services/web"
PORTS = [{"name": "plain", "port": 80}, {"name": "tls", "port": 443, "targetPort": "https"}]


class Kube:
    """A Service and its slices."""

    access = None

    def __init__(self, *endpoints: dict[str, Any]) -> None:
        ports = [{"name": "plain", "port": 8080}, {"name": "tls", "port": 8443}]
        self.slices = [{"metadata": {}, "ports": ports, "endpoints": list(endpoints)}]

    async def get(self, path: str) -> dict[str, Any]:
        if path != SERVICE:
            raise ApiError(404, "NotFound", "", where=path)
        return {"spec": {"ports": PORTS}}

    async def list(self, path: str, labels: str = "") -> list[dict[str, Any]]:
        assert (path, labels) == (SLICES, "kubernetes.io/service-name=web")
        return self.slices


def endpoint(name: str, **conditions: bool) -> dict[str, Any]:
    return {"targetRef": {"kind": "Pod", "name": name}, "conditions": conditions}


@pytest.mark.anyio
async def test_each_ready_pod_behind_the_port_is_asked_at_its_own_port():
    kube: Any = Kube(endpoint("b"), endpoint("a", ready=True), endpoint("c", ready=False), {"targetRef": None})
    assert await handshakes.behind(kube, "shop", "web", 443) == [("a", 8443), ("b", 8443)]


@pytest.mark.anyio
@pytest.mark.parametrize(("service", "port", "why"), [("web", 9, "no port 9"), ("other", 443, "NotFound")])
async def test_a_service_or_a_port_that_is_not_there_is_told(service: str, port: int, why: str):
    kube: Any = Kube()
    with pytest.raises(ObservationFailed, match=why):
        await handshakes.shown(kube, "shop", service, port, "")


@pytest.mark.anyio
async def test_a_pod_that_does_not_answer_shows_none(monkeypatch: pytest.MonkeyPatch):
    def ask(_kube: Any, _namespace: str, pod: str, _port: int, _host: str) -> list[bytes]:
        if pod == "a":
            raise ConnectionError
        return [b"shown"]

    monkeypatch.setattr(handshakes, "_ask", ask)
    kube: Any = Kube(endpoint("a"), endpoint("b"))
    assert await handshakes.shown(kube, "shop", "web", 443, "") == [b"shown"]


@pytest.mark.anyio
async def test_where_no_port_may_be_forwarded_that_is_told(monkeypatch: pytest.MonkeyPatch):
    def ask(*_: Any) -> list[bytes]:
        raise ApiError(403, "Forbidden", "to forward a port")

    monkeypatch.setattr(handshakes, "_ask", ask)
    kube: Any = Kube(endpoint("a"))
    with pytest.raises(ObservationFailed, match="to forward a port"):
        await handshakes.shown(kube, "shop", "web", 443, "")
