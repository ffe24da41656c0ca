"""A Gateway's certificate: made by the cluster's own means, where its gateway is, and only when one is wanted."""

from __future__ import annotations

import base64
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cluster import docker
from harness.cluster.local import LocalCluster
from harness.errors import ApiError, PreconditionFailed
from harness.stack import certificate

CLUSTER = LocalCluster("c", Path("k"), "unix:///d", "n", {}, "plane", Path("s"))
HOSTS = ["api.example", "shop.example"]
SELECTOR = {"istio": "way-in"}
TLS = {"port": {"number": 443}, "hosts": HOSTS, "tls": {"mode": "SIMPLE", "credentialName": "ours"}}
PLAIN = {"port": {"number": 80}, "hosts": ["plain.example"], "tls": {"httpsRedirect": True}}
GATEWAY = {
    "kind": "Gateway",
    "metadata": {"namespace": "prod"},
    "spec": {"selector": SELECTOR, "servers": [TLS, PLAIN]},
}
SECRET = "/api/v1/namespaces/edge/secrets/ours"


def deployment(namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    template = {"metadata": {"labels": labels}}
    return {"kind": "Deployment", "metadata": {"namespace": namespace}, "spec": {"template": template}}


OBJECTS = [GATEWAY, deployment("prod", {"app": "web"}), deployment("edge", {**SELECTOR, "app": "proxy"})]


class Kube:
    """A cluster with at most one Secret."""

    def __init__(self, secret: dict[str, Any] | None = None) -> None:
        self.secret = secret
        self.refusal = ApiError(404, "NotFound", "no such Secret")

    async def get(self, path: str) -> dict[str, Any]:
        assert path == SECRET
        if self.secret is None:
            raise self.refusal
        return self.secret

    async def patch(self, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        assert path == SECRET
        self.secret = body
        return body


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Run on this machine what is to be run inside a node."""
    ran: list[list[str]] = []

    def result(host: str, *args: str, deadline: float) -> subprocess.CompletedProcess[str]:
        assert args[:3] == ("exec", "-i", "plane")
        ran.append([*args[3:]])
        return subprocess.run(args[3:], capture_output=True, text=True, timeout=deadline, check=False)

    monkeypatch.setattr(docker, "result", result)
    return ran


def ensured(kube: Kube, objects: Any = OBJECTS) -> list[str]:
    lines: list[str] = []
    anyio.run(certificate.ensure, kube, CLUSTER, objects, lines.append)
    return lines


def secret(**notes: str) -> dict[str, Any]:
    until = (datetime.now(UTC) + timedelta(days=100)).isoformat()
    annotations = {certificate.HOSTS: ",".join(HOSTS), certificate.UNTIL: until, **notes}
    return {"metadata": {"annotations": annotations}, "data": {"tls.crt": "eA==", "tls.key": "eA=="}}


def test_a_certificate_belongs_where_the_pods_are_that_show_it() -> None:
    (found,) = certificate.wanted(OBJECTS)
    assert (found.path, found.hosts) == (SECRET, tuple(HOSTS))


def test_listeners_that_share_a_certificate_share_its_hosts() -> None:
    more = {**TLS, "hosts": ["shop.example", "more.example"]}
    gateway = {**GATEWAY, "spec": {"selector": SELECTOR, "servers": [TLS, more]}}
    (found,) = certificate.wanted([gateway, *OBJECTS[1:]])
    assert found.hosts == (*HOSTS, "more.example")


@pytest.mark.parametrize("objects", [[], OBJECTS[1:], [GATEWAY], [{"kind": "Gateway", "metadata": {}}]])
def test_where_no_gateway_shows_one_none_is_made(objects: list[Any], here: list[list[str]]) -> None:
    assert certificate.wanted(objects) == []
    assert ensured(Kube(), objects) == []
    assert here == []


def test_what_is_made_proves_each_host_and_no_other(here: list[list[str]], tmp_path: Path) -> None:
    kube = Kube()
    assert ensured(kube) == ["making a certificate for api.example, shop.example"]
    assert kube.secret
    assert kube.secret["type"] == "kubernetes.io/tls"
    assert [shaken(kube.secret, host, tmp_path) for host in (*HOSTS, "other.example")] == [True, True, False]


def shaken(secret: dict[str, Any], host: str, folder: Path) -> bool:
    """Say whether a client that trusts the certificate in a Secret takes a server that has it for this host."""
    chain, key = (base64.b64decode(secret["data"][name]).decode() for name in ("tls.crt", "tls.key"))
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cadata=chain)
    client.verify_flags &= ~ssl.VERIFY_X509_STRICT
    both = folder / "both.pem"
    both.write_text(key + chain)
    server.load_cert_chain(both)
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(ours, theirs, server_hostname=host),
        server.wrap_bio(theirs, ours, server_side=True),
    ]
    try:
        for _ in range(4):
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError:
        return False
    return ends[0].getpeercert() is not None


def test_a_key_is_made_once_and_lies_on_no_disk(here: list[list[str]]) -> None:
    kube = Kube()
    ensured(kube)
    first = kube.secret
    assert ensured(kube) == []
    assert kube.secret is first
    assert len(here) == 1
    assert "mktemp -d -p /dev/shm" in certificate.SCRIPT
    assert not list(Path("/dev/shm").glob("tmp.*/key"))


@pytest.mark.parametrize(
    "there",
    [
        secret(**{certificate.HOSTS: "api.example"}),
        secret(**{certificate.UNTIL: (datetime.now(UTC) + timedelta(days=20)).isoformat()}),
        {**secret(), "data": {"tls.crt": "eA=="}},
        {**secret(), "metadata": {}},
    ],
    ids=["other hosts", "nearly over", "no key", "somebody else's"],
)
def test_one_that_does_not_serve_is_made_anew(there: dict[str, Any], here: list[list[str]]) -> None:
    kube = Kube(there)
    ensured(kube)
    assert kube.secret is not there
    assert len(here) == 1


def test_one_that_serves_stays(here: list[list[str]]) -> None:
    there = secret()
    kube = Kube(there)
    assert ensured(kube) == []
    assert kube.secret is there


def test_what_may_not_be_read_is_not_replaced(here: list[list[str]]) -> None:
    kube = Kube()
    kube.refusal = ApiError(403, "Forbidden", "secrets")
    with pytest.raises(ApiError, match="403"):
        ensured(kube)
    assert here == []


@pytest.mark.parametrize(
    ("status", "said", "why"), [(127, "", "openssl: not found"), (0, "nonsense", "openssl gave nothing")]
)
def test_a_certificate_that_cannot_be_made_says_why(
    monkeypatch: pytest.MonkeyPatch, status: int, said: str, why: str
) -> None:
    complained = why if status else ""
    done = subprocess.CompletedProcess([], status, said, complained)
    monkeypatch.setattr(docker, "result", lambda *_, **__: done)
    with pytest.raises(PreconditionFailed, match="certificate cannot be made") as failed:
        ensured(Kube())
    assert failed.value.why == why
