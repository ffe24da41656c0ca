"""Inside a pod the harness asks as the pod's service account, and goes on when its token is rotated."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.cluster import connection, kubeconfig
from harness.cluster.connection import Connection
from harness.cluster.kubeconfig import passing, service_account
from harness.cluster.kubeconfig.credentials import Credentials, Signature
from harness.documents import document
from harness.engine import contexts, run
from harness.engine.options import Options
from harness.engine.preflight import permission
from harness.errors import PreconditionFailed, UsageError
from harness.model.experiment import Experiment

TEXT = """\
title: x
description: x
method:
  - type: action
    name: kill it
    provider: {type: python, module: harness.chaostoolkit.actions, func: pod_kill,
               arguments: {target: {namespace: shop, selector: app=cart, pods: 1}}}
extensions:
  - {name: harness, objectives: {recovery: {within: 9s}}, blast-radius: {namespaces: [shop], pods: 1}}
"""
REFERENCE = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "cart", "uid": "uid-cart", "controller": True}
METADATA = {"name": "cart-0", "namespace": "shop", "uid": "uid-0", "creationTimestamp": "2026-01-01T00:00:00Z"}
POD = {
    "metadata": {**METADATA, "ownerReferences": [REFERENCE]},
    "spec": {"nodeName": "worker", "containers": [{"name": "cart"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
SERVED: dict[str, Any] = {
    "/apis/chaos.harness.dev/v1alpha1": {"resources": [{"name": "faults"}, {"name": "nodefaults"}]},
    "/api/v1/namespaces/shop": {"metadata": {"name": "shop", "labels": {contexts.OPT_IN_LABEL: "true"}}},
    "/api/v1/namespaces/shop/pods": {"items": [POD], "metadata": {}},
    "/api/v1/nodes": {"items": [{"metadata": {"name": "worker", "uid": "uid-w"}}], "metadata": {}},
    "/apis/apps/v1": {"resources": [{"name": "statefulsets", "kind": "StatefulSet", "namespaced": True}]},
    "/apis/apps/v1/namespaces/shop/statefulsets/cart": {"metadata": {"uid": "uid-cart"}, "spec": {"replicas": 2}},
}


class Server:
    """An API server that knows one token, and keeps what is written."""

    def __init__(self) -> None:
        self.token, self.refused, self.kept = "one", 0, dict(SERVED)

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "10.96.0.1"
        if request.headers.get("authorization") != f"Bearer {self.token}":
            self.refused += 1
            return httpx.Response(401, json={"reason": "Unauthorized"})
        path, body = request.url.path, json.loads(request.content or b"{}")
        if path.endswith("reviews"):
            return httpx.Response(201, json={**body, "status": {"allowed": True}})
        if request.method in ("POST", "PUT"):
            place = path if request.method == "PUT" else f"{path}/{body['metadata']['name']}"
            self.kept[place] = {**body, "metadata": {**body["metadata"], "resourceVersion": str(len(self.kept))}}
            return httpx.Response(201, json=self.kept[place])
        found = self.kept.pop(path, None) if request.method == "DELETE" else self.kept.get(path)
        return httpx.Response(200, json=found) if found else httpx.Response(404, json={"reason": "NotFound"})


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a pod finds its service account in; no home, no kubeconfig, no local cluster."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    for name, text in (("token", "one\n"), ("ca.crt", "CA"), ("namespace", "shop")):
        (folder / name).write_text(text)
    monkeypatch.setattr(service_account.access, "__defaults__", (folder,))
    monkeypatch.setattr(connection.tls, "context", lambda access: ssl.create_default_context())
    for name in ("KUBECONFIG", "POD_NAMESPACE", "HARNESS_CONTEXTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("KUBERNETES_SERVICE_HOST", "10.96.0.1"), ("KUBERNETES_SERVICE_PORT", "443")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    return folder


@pytest.fixture
def server(account: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Have that API server answer whatever a client sends, and the context allowed."""
    made = Server()
    transport = httpx.MockTransport(made.answer)

    def connections(self: Connection, _: Signature) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=transport, base_url=self._access.server)

    monkeypatch.setattr(Connection, "_open", connections)
    monkeypatch.setenv("HARNESS_CONTEXTS", service_account.CONTEXT)
    return made


@pytest.fixture
def kill() -> Experiment:
    return document.loads(TEXT, Path("x.yaml"))


def test_the_service_account_is_named_and_allowed_like_any_context(account: Path) -> None:
    with pytest.raises(PreconditionFailed, match="no local cluster") as nothing:
        contexts.connect(None, None)
    assert "--context in-cluster" in nothing.value.hint
    with pytest.raises(UsageError, match="'in-cluster' is not allowed"):
        contexts.connect(None, "in-cluster")


def test_a_user_without_a_home_has_a_service_account_all_the_same(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert kubeconfig.load(None, "in-cluster").server == "https://10.96.0.1:443"
    with pytest.raises(PreconditionFailed, match="there is no kubeconfig"):
        kubeconfig.load(None, "staging")


def test_a_plan_is_made_with_the_service_account(server: Server, kill: Experiment) -> None:
    shown = run.dry_run(kill, Options(context="in-cluster"))
    assert "context  in-cluster" in shown
    assert "pod_kill       shop/cart-0  uid-0" in shown
    assert server.refused == 0


def loaded(load: str) -> Experiment:
    return document.loads(TEXT.replace("name: harness,", f"name: harness, load: {load},"), Path("x.yaml"))


def test_a_plan_says_where_a_load_goes_that_names_a_path_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch, kill: Experiment
) -> None:
    monkeypatch.setenv("HARNESS_GATEWAY", "https://staging.example")
    assert "  gateway  https://staging.example" in run.dry_run(
        loaded("{url: /cart, rate: 1/s}"), Options(context="in-cluster")
    )
    for other in (kill, loaded("{url: 'https://shop.example/', rate: 1/s}")):
        assert "gateway  " not in run.dry_run(other, Options(context="in-cluster"))


@pytest.mark.parametrize(
    ("named", "load", "why"),
    [
        ({"HARNESS_GATEWAY": "http://gateway:99999"}, "{url: /cart, rate: 1/s}", "HARNESS_GATEWAY"),
        ({}, "{url: /cart, rate: 1/s}", "nobody said where"),
        ({"HARNESS_PROMETHEUS": "http://[::"}, "{url: 'https://shop.example/', rate: 1/s}", "HARNESS_PROMETHEUS"),
        ({}, "{url: 'https://shop.example/', rate: 1/s, headers: {x: {env: NOPE_NOT_SET}}}", "NOPE_NOT_SET is not set"),
    ],
)
def test_a_plan_refuses_what_its_run_would(
    server: Server, monkeypatch: pytest.MonkeyPatch, named: dict[str, str], load: str, why: str
) -> None:
    for name in ("HARNESS_GATEWAY", "HARNESS_PROMETHEUS", "NOPE_NOT_SET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((PreconditionFailed, UsageError), match=why):
        run.dry_run(loaded(load), Options(context="in-cluster"))


def test_where_a_namespace_of_another_cluster_is_looked_for_is_said(server: Server, kill: Experiment) -> None:
    del server.kept["/api/v1/namespaces/shop"]
    with pytest.raises(UsageError, match="namespace 'shop' does not exist") as refused:
        run.dry_run(kill, Options(context="in-cluster"))
    # kubectl knows no context of that name: inside a pod it is the service account by itself.
    assert refused.value.hint.endswith("kubectl get namespaces")


@pytest.mark.anyio
async def test_the_lease_of_a_run_is_held_on_through_a_rotation_of_the_token(
    server: Server, account: Path, kill: Experiment
) -> None:
    kube, cluster = contexts.connect(None, "in-cluster")
    assert cluster is None
    async with kube, permission.hold(kube, cluster, kill, "run-1") as (leases, healer):
        assert not healer.heals
        held = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/chaos-run"
        assert server.kept[held]["spec"]["holderIdentity"] == "run-1"
        server.token = "two"
        (account / "token").write_text("two\n")
        await leases.renew()
        leases.check()
        # Both Leases are renewed at once, and each may be refused before the token is read again.
        assert server.refused in (1, 2), "the token is read again when it is refused"
    assert held not in server.kept


def test_what_a_run_hands_on_reads_the_token_again_too(server: Server, account: Path) -> None:
    kube, _ = contexts.connect(None, "in-cluster")
    handed = kubeconfig.load(passing.hand_on(kube.access), "in-cluster")
    assert (handed.server, handed.namespace, handed.token, handed.ca) == (kube.server, "shop", "", b"CA")
    credentials = Credentials(handed)
    first = credentials.signature()
    (account / "token").write_text("two\n")
    assert (first.authorization, credentials.refused(first)) == ("Bearer one", True)
    assert credentials.signature().authorization == "Bearer two"
