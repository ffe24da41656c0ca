"""Bringing up a stack that was deployed before: what somebody changed or removed comes back."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.errors import ApiError
from harness.stack import apply, deploy, istio, ready, render, renew, source

CLUSTER = LocalCluster("c", Path("k"), "unix:///d", "n", {}, "c", Path("s"))
BUDGET = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "prod"}}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "prod"},
    "spec": {"replicas": 3},
}
WEB = apply.path(DEPLOYMENT)


class Cluster:
    """Objects by their paths; a Deployment has at once the replicas that it was given, unless it is `slow`."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.slow = False
        self.rounds = 0
        self.refusals = 0

    async def get(self, path: str) -> dict[str, Any]:
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        return self.objects[path]

    async def patch(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        self.objects[path] = {**self.objects.get(path, {}), **copy.deepcopy(dict(body))}
        return self.objects[path]

    async def delete(self, path: str, **_: Any) -> None:
        self.objects.pop(path, None)

    async def post(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        if self.refusals:
            self.refusals -= 1
            return 429, {}
        evicted = path.removesuffix("/eviction")
        if self.objects[evicted]["metadata"]["uid"] == body["deleteOptions"]["preconditions"]["uid"]:
            del self.objects[evicted]
        return 201, {}

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        return [self._seen(item) for name, item in self.objects.items() if name.startswith(f"{path}/")]

    async def list_at(self, path: str, **_: Any) -> tuple[list[dict[str, Any]], str]:
        return await self.list(path), "1"

    async def watch(self, path: str, since: str = "") -> AsyncIterator[tuple[str, dict[str, Any]]]:
        self.slow = False
        for item in await self.list(path):
            yield "MODIFIED", item

    def _seen(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["kind"] == "Pod":
            return item
        count = 0 if self.slow else item["spec"]["replicas"]
        status = {"observedGeneration": 1} | dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), count)
        return {"metadata": {**item["metadata"], "generation": 1}, "status": status}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cluster:
    """A cluster on which the stack, one Deployment and its budget, was deployed before."""
    made = Cluster()

    @asynccontextmanager
    async def connect(*_: Any) -> AsyncIterator[Cluster]:
        yield made

    def objects(*_: Any) -> list[Any]:
        made.rounds += 1
        return [BUDGET, DEPLOYMENT]

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(Kube, "connect", connect)
    monkeypatch.setattr(source, "key", lambda overlay: f"key-of-{overlay}")
    monkeypatch.setattr(renew, "RETRY_SECONDS", 0)
    monkeypatch.setattr(deploy, "_images", lambda *_: {})
    monkeypatch.setattr(render, "objects", objects)
    monkeypatch.setattr(istio, "definitions", lambda progress: [])
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    monkeypatch.setattr(ready, "_client", lambda seconds: httpx.AsyncClient(transport=transport))
    up()
    made.rounds = 0
    return made


def up(overlay: str = "kind") -> list[str]:
    lines: list[str] = []
    anyio.run(deploy.up, CLUSTER, lines.append, overlay)
    return lines


def test_a_stack_that_is_well_is_not_put_together_again(cluster: Cluster) -> None:
    assert up() == []
    assert cluster.rounds == 0


def test_what_somebody_removed_comes_back(cluster: Cluster) -> None:
    del cluster.objects[apply.path(BUDGET)]
    up()
    assert apply.path(BUDGET) in cluster.objects
    assert cluster.rounds == 0


def test_what_somebody_scaled_has_its_replicas_again(cluster: Cluster) -> None:
    cluster.objects[WEB]["spec"] = {"replicas": 1}
    up()
    assert cluster.objects[WEB]["spec"] == {"replicas": 3}


def test_a_stack_that_does_not_come_back_at_once_is_deployed_and_waited_for(cluster: Cluster) -> None:
    cluster.slow = True
    up()
    assert (cluster.rounds, cluster.slow) == (1, False)


def pod(name: str, *, waited: float, owned: bool = True) -> dict[str, Any]:
    """Make a pod whose container was started a minute ago, after a wait."""
    started = datetime.now(UTC) - timedelta(minutes=1)
    ended = started - timedelta(seconds=waited)
    status = {
        "name": "web",
        "state": {"running": {"startedAt": started.isoformat()}},
        "lastState": {"terminated": {"finishedAt": ended.isoformat()}},
    }
    owners = [{"kind": "ReplicaSet", "name": "web-1", "controller": True}] if owned else []
    metadata = {"name": name, "namespace": "prod", "uid": f"uid-{name}", "ownerReferences": owners}
    return {"kind": "Pod", "metadata": metadata, "status": {"containerStatuses": [status]}}


def test_a_pod_that_the_kubelet_would_start_again_late_is_replaced(cluster: Cluster) -> None:
    pods = [pod("web-1-late", waited=21), pod("web-1-soon", waited=0), pod("alone", waited=160, owned=False)]
    for one in pods:
        cluster.objects[f"/api/v1/namespaces/prod/pods/{one['metadata']['name']}"] = one
    cluster.refusals = 1
    assert up() == ["replacing web-1-late: the kubelet would start its container again only after 40 s"]
    left = [one["metadata"]["name"] for one in cluster.objects.values() if one["kind"] == "Pod"]
    assert left == ["web-1-soon", "alone"]
    assert cluster.rounds == 0


def test_another_overlay_is_deployed_and_what_it_lacks_removed(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "objects", lambda *_: [DEPLOYMENT])
    up("weak-no-pdb")
    assert apply.path(BUDGET) not in cluster.objects


def test_a_stack_is_deployed_again_where_nothing_was_kept_of_it(cluster: Cluster, tmp_path: Path) -> None:
    for file in tmp_path.rglob("key-of-kind.json"):
        file.write_text("{")
    up()
    assert cluster.rounds == 1
    assert render.kept("key-of-kind") == [BUDGET, DEPLOYMENT]


def test_the_wanted_replicas_are_the_manifests() -> None:
    unsaid = {"kind": "Deployment", "metadata": {"name": "one", "namespace": "prod"}, "spec": {}}
    assert ready.replicas([BUDGET, DEPLOYMENT, unsaid]) == {"prod": {"web": 3, "one": 1}}
    assert ready._waiting([], {"web": 3}) == {"web"}


def test_the_ways_in_are_not_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert not any(ready._client(1)._mounts.values())
