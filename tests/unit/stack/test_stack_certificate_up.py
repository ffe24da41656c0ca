"""Bringing up a stack whose gateway names a certificate: it is made, stays, comes back, and goes with the gateway."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.errors import ApiError
from harness.stack import apply, certificate, render
from tests.unit.stack.deployed import DEPLOYMENT, GATEWAY, Cluster, up

PROXY = {
    **DEPLOYMENT,
    "metadata": {"name": "proxy", "namespace": "edge"},
    "spec": {**DEPLOYMENT["spec"], "template": {"metadata": {"labels": {"istio": "way-in"}}}},  # type: ignore[dict-item]
}
SECURE = {
    **GATEWAY,
    "spec": {"selector": {"istio": "way-in"}, "servers": [{"hosts": ["api"], "tls": {"credentialName": "ours"}}]},
}
SECRET = "/api/v1/namespaces/edge/secrets/ours"


@pytest.fixture
def secure(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The stack with a gateway that speaks TLS; the keys that were made for it."""
    keys: list[str] = []

    def make(*_: Any) -> dict[str, str]:
        keys.append(f"key number {len(keys) + 1}")
        return {"PRIVATE KEY": keys[-1], "CERTIFICATE": "certificate"}

    with monkeypatch.context() as changed:
        changed.setattr(certificate, "_make", make)
        changed.setattr(render, "objects", lambda *_: [DEPLOYMENT, PROXY, SECURE])
        up("weak-no-pdb")
        yield keys


def test_a_gateway_that_names_a_certificate_gets_one_that_no_file_here_holds(
    cluster: Cluster, secure: list[str], tmp_path: Path
) -> None:
    assert base64.b64decode(cluster.objects[SECRET]["data"]["tls.key"]).decode() == secure[0]
    told = cluster.objects[SECRET]["data"]["tls.key"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and told in path.read_text()]
    assert SECRET in apply.paths(cluster.objects[apply.INVENTORY]["data"])


def test_a_certificate_stays_as_long_as_it_serves_and_comes_back_where_somebody_removed_it(
    cluster: Cluster, secure: list[str]
) -> None:
    up("weak-no-pdb")
    assert len(secure) == 1
    del cluster.objects[SECRET]
    assert up("weak-no-pdb") == ["making a certificate for api"]
    assert SECRET in cluster.objects


def test_a_certificate_comes_back_with_its_namespace(
    cluster: Cluster, secure: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}}
    monkeypatch.setattr(render, "objects", lambda *_: [edge, DEPLOYMENT, PROXY, SECURE])
    up("weak-no-redirect")
    patch = cluster.patch

    async def inside(path: str, body: Any, **said: Any) -> dict[str, Any]:
        if path.startswith(f"{apply.path(edge)}/") and apply.path(edge) not in cluster.objects:
            raise ApiError(404, "NotFound", "namespaces edge")
        return await patch(path, body, **said)

    monkeypatch.setattr(cluster, "patch", inside)
    del cluster.objects[apply.path(edge)], cluster.objects[SECRET]
    assert up("weak-no-redirect") == ["making a certificate for api"]
    assert SECRET in cluster.objects


def test_a_certificate_goes_with_the_gateway_that_names_it(
    cluster: Cluster, secure: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "objects", lambda *_: [DEPLOYMENT, PROXY, GATEWAY])
    up()
    assert SECRET not in cluster.objects


def test_a_gateway_s_right_to_its_certificate_is_there_before_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, order = Cluster(), list[str]()
    patch = cluster.patch

    async def noted(path: str, body: Any, **said: Any) -> dict[str, Any]:
        order.append(path.split("/")[-2])
        return await patch(path, body, **said)

    monkeypatch.setattr(cluster, "patch", noted)
    of = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "x", "namespace": "edge"}}
    anyio.run(apply.apply, cluster, [SECURE, {**of, "kind": "RoleBinding"}, {**of, "kind": "Role"}])
    assert order == ["roles", "rolebindings", "gateways"]
