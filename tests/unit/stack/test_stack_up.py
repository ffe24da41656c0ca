"""Bringing up a stack that was deployed before: what somebody changed or removed comes back."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from harness.cli import parts as listed
from harness.cluster import local
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.errors import ApiError, PreconditionFailed, UsageError
from harness.keeper import client
from harness.stack import apply, certificate, deploy, istio, ready, render, renew, source

CLUSTER = LocalCluster("c", Path("k"), "unix:///d", "n", {}, "c", Path("s"))
GATEWAY = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "way-in", "namespace": "prod"},
}
BUDGET = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "prod"}}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "prod"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}},
    },
}
WEB = apply.path(DEPLOYMENT)
ISTIOD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "istiod-ours", "namespace": "istio", "labels": {"app": "istiod", istio.LABEL: istio.REVISION}},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "istiod"}},
        "template": {"metadata": {"labels": {"app": "istiod"}}},
    },
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gateways.networking.istio.io"},
    "spec": {"group": "networking.istio.io"},
    "status": {"conditions": [{"type": "Established", "status": "True"}]},
}


class Cluster:
    """Objects by their paths; a Deployment has at once the replicas that it was given, unless it is `slow`."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.slow = False
        self.rounds = 0
        self.built: list[str] = []
        self.kinds = ["Gateway"]
        self.refusals = 0
        self.run = ""
        self.namespaced = False
        self.answer: tuple[int, dict[str, Any]] = (201, {})

    def images(self, cluster: LocalCluster, wanted: dict[str, str], progress: Any) -> dict[str, str]:
        self.built = list(wanted.values())
        return {}

    async def keeper(self, socket: Path) -> dict[str, Any]:
        return {"live": self.run}

    async def get(self, path: str) -> dict[str, Any]:
        if path == "/apis/networking.istio.io/v1" and self.kinds:
            return {"resources": [{"kind": kind} for kind in self.kinds]}
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        return self.objects[path]

    async def patch(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        if isinstance(body, list):
            return self.objects[path]
        if self.namespaced and path == apply.INVENTORY and apply.path(MONITORING) not in self.objects:
            raise ApiError(404, "NotFound", f"namespaces {apply.INVENTORY_NAMESPACE}")
        self.objects[path] = {**self.objects.get(path, {}), **copy.deepcopy(dict(body))}
        return self.objects[path]

    async def delete(self, path: str, **_: Any) -> None:
        self.objects.pop(path, None)

    async def evict(self, pod: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.refusals:
            self.refusals -= 1
            return 429, {"message": "the budget allows none"}
        if self.answer[0] == 201:
            del self.objects[f"/api/v1/namespaces/prod/pods/{pod['metadata']['name']}"]
        return self.answer

    async def list(self, path: str, labels: str = "", **_: Any) -> list[dict[str, Any]]:
        inside, _, plural = path.rpartition("/")
        found = [
            item for name, item in self.objects.items() if name.startswith(inside) and name.split("/")[-2] == plural
        ]
        wanted = dict(word.split("=") for word in labels.split(",") if word)
        return [self._seen(item) for item in found if wanted.items() <= item["metadata"].get("labels", {}).items()]

    async def list_at(self, path: str, **_: Any) -> tuple[list[dict[str, Any]], str]:
        return await self.list(path), "1"

    async def watch(self, path: str, since: str = "", fields: str = "") -> AsyncIterator[tuple[str, dict[str, Any]]]:
        self.slow = self.slow and not path.endswith("/deployments")
        for item in await self.list(path):
            yield "MODIFIED", item

    def _seen(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["kind"] not in ("Deployment", "Rollout"):
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
        return [BUDGET, DEPLOYMENT, GATEWAY]

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(Kube, "connect", connect)
    monkeypatch.setattr(source, "key", lambda overlay, wanted, foreign: f"key-of-{overlay}{foreign}")
    monkeypatch.setattr(renew, "RETRY_SECONDS", 0)
    monkeypatch.setattr(client, "status", made.keeper)
    monkeypatch.setattr(deploy, "_images", made.images)
    monkeypatch.setattr(render, "objects", objects)
    monkeypatch.setattr(istio, "objects", lambda *_: [DEFINITION, ISTIOD])
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


def test_an_istio_that_is_there_is_used_and_none_is_installed(cluster: Cluster) -> None:
    labels = {"app": "istiod", istio.LABEL: "1-31"}
    theirs = {**ISTIOD, "metadata": {"name": "istiod", "namespace": "mesh", "labels": labels}}
    cluster.objects[apply.path(theirs)] = theirs
    assert up()[0] == "this cluster has an Istio, revision 1-31: the gateway is that one's, and none is installed"
    # A definition would take everything of its kind with it, theirs too.
    assert {apply.path(DEFINITION), apply.path(theirs)} < set(cluster.objects)
    assert apply.path(ISTIOD) not in cluster.objects
    assert cluster.built == ["service", "prometheus"]


def test_what_somebody_removed_comes_back(cluster: Cluster) -> None:
    del cluster.objects[apply.path(BUDGET)]
    up()
    assert apply.path(BUDGET) in cluster.objects
    assert cluster.rounds == 0


@pytest.mark.parametrize("kinds", [[], ["VirtualService"]])
def test_a_definition_that_somebody_removed_comes_back(cluster: Cluster, kinds: list[str]) -> None:
    del cluster.objects[apply.path(DEFINITION)]
    cluster.kinds = kinds
    up()
    assert apply.path(DEFINITION) in cluster.objects


def test_definitions_are_not_applied_again_where_their_kinds_are_served(cluster: Cluster) -> None:
    del cluster.objects[apply.path(DEFINITION)]
    up()
    assert apply.path(DEFINITION) not in cluster.objects


def test_what_somebody_scaled_has_its_replicas_again(cluster: Cluster) -> None:
    cluster.objects[WEB]["spec"] = {"replicas": 1}
    up()
    assert cluster.objects[WEB]["spec"]["replicas"] == 3


def test_a_stack_that_does_not_come_back_at_once_is_deployed_and_waited_for(cluster: Cluster) -> None:
    cluster.slow = True
    up()
    assert (cluster.rounds, cluster.slow) == (1, False)


def pod(cluster: Cluster, name: str, *, waited: float, app: str = "web") -> str:
    """Put a pod into the cluster whose container was started a minute ago, after a wait; return its path."""
    started = datetime.now(UTC) - timedelta(minutes=1)
    ended = started - timedelta(seconds=waited)
    status = {
        "name": "web",
        "state": {"running": {"startedAt": started.isoformat()}},
        "lastState": {"terminated": {"finishedAt": ended.isoformat()}},
    }
    metadata = {"name": name, "namespace": "prod", "uid": f"uid-{name}", "labels": {"app": app}}
    path = f"/api/v1/namespaces/prod/pods/{name}"
    cluster.objects[path] = {"kind": "Pod", "metadata": metadata, "status": {"containerStatuses": [status]}}
    return path


def test_a_pod_that_the_kubelet_would_start_again_late_is_replaced(cluster: Cluster) -> None:
    late, soon = pod(cluster, "web-late", waited=21), pod(cluster, "web-soon", waited=0)
    foreign = pod(cluster, "other", waited=160, app="other")
    cluster.refusals = 1
    assert up() == ["replacing web-late: the kubelet would start its container again only after 40 s"]
    assert late not in cluster.objects
    assert {soon, foreign} < set(cluster.objects)
    assert cluster.rounds == 0


def test_a_pod_that_cannot_be_replaced_is_told(cluster: Cluster) -> None:
    late = pod(cluster, "web-late", waited=21)
    cluster.answer = (500, {"message": "This pod has more than one PodDisruptionBudget"})
    assert up()[1] == "web-late was not replaced: 500 This pod has more than one PodDisruptionBudget"
    assert late in cluster.objects


def test_no_pod_is_replaced_under_a_run_that_began_meanwhile(cluster: Cluster) -> None:
    late, cluster.run = pod(cluster, "web-late", waited=21), "20260101-120000-abcd"
    assert up() == []
    assert late in cluster.objects


def test_another_overlay_is_deployed_and_what_it_lacks_removed(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "objects", lambda *_: [DEPLOYMENT])
    up("weak-no-pdb")
    assert apply.path(BUDGET) not in cluster.objects


ROLLOUTS = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rollouts", "uid": "r"}}
MONITORING = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": apply.INVENTORY_NAMESPACE, "uid": "m"}}


@pytest.mark.parametrize("kind", ["customresourcedefinitions", "deployments", "gateways"])
def test_what_a_first_deployment_left_when_it_was_cut_short_goes_with_the_next(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    cluster.objects.clear()
    patch = cluster.patch
    cluster.namespaced = True

    async def cut(path: str, body: Any, **said: Any) -> dict[str, Any]:
        if f"/{kind}/" in path:
            raise RuntimeError("killed")
        return await patch(path, body, **said)

    monkeypatch.setattr(cluster, "patch", cut)
    monkeypatch.setattr(render, "objects", lambda *_: [MONITORING, ROLLOUTS, BUDGET, DEPLOYMENT, GATEWAY])
    with pytest.raises(RuntimeError, match="killed"):
        up("weak-no-analysis")
    assert cluster.objects[apply.INVENTORY]["data"]["key"] == ""
    assert apply.path(ROLLOUTS) in cluster.objects
    monkeypatch.setattr(cluster, "patch", patch)
    monkeypatch.setattr(render, "objects", lambda *_: [MONITORING, DEPLOYMENT, GATEWAY])
    up()
    assert {apply.path(ROLLOUTS), apply.path(BUDGET)}.isdisjoint(cluster.objects)


def down(*gone: str) -> list[str]:
    lines: list[str] = []
    anyio.run(deploy.down, CLUSTER, lines.append, gone)
    return lines


def test_where_there_is_no_stack_no_part_is_taken_away_and_nothing_brought_up(cluster: Cluster) -> None:
    cluster.objects.clear()
    assert down("delivery") == ["there is no stack here, and no part of one to take away"]
    assert cluster.objects == {}


def test_a_part_that_is_not_there_is_not_taken_away_and_that_is_said(cluster: Cluster) -> None:
    before = {**cluster.objects}
    assert down("delivery") == ["nothing to take away: there is core"]
    assert cluster.objects == before
    assert cluster.rounds == 0


@pytest.mark.parametrize(
    ("remembered", "named"),
    [({"parts": "core,delivery,later"}, "part later"), ({"overlay": "weak-later"}, "overlay weak-later")],
)
def test_a_stack_of_another_version_loses_no_part_to_one_that_does_not_know_all_of_it(
    cluster: Cluster, remembered: dict[str, str], named: str
) -> None:
    cluster.objects[apply.INVENTORY]["data"] |= remembered
    before = copy.deepcopy(cluster.objects)
    with pytest.raises(UsageError, match=f"does not know the {named}") as refused:
        down("delivery")
    assert "`harness up`" in refused.value.hint
    assert cluster.objects == before


def test_a_part_that_this_version_does_not_know_goes_with_up(cluster: Cluster) -> None:
    other = {**BUDGET, "metadata": {"name": "of-later", "namespace": "prod"}}
    cluster.objects[apply.path(other)] = other
    data = cluster.objects[apply.INVENTORY]["data"]
    data |= {"key": "of-another-version", "parts": "core,later", "overlay": "weak-later"}
    data["paths"] = json.dumps([*apply.paths(data), apply.path(other)])
    up()
    assert apply.path(other) not in cluster.objects
    assert cluster.objects[apply.INVENTORY]["data"]["parts"] == "core"


def test_a_part_that_this_version_does_not_know_is_told_beside_the_others(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local, "current", lambda: CLUSTER)
    cluster.objects[apply.INVENTORY]["data"] |= {"parts": "core,later"}
    listed.command.main([], standalone_mode=False)
    said = capsys.readouterr()
    assert said.err == "there is later, too, of another version: `harness up` takes it away\n"
    assert "core       there " in said.out


def test_a_part_that_is_there_goes(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.objects[apply.INVENTORY]["data"] |= {"parts": "core,delivery"}
    monkeypatch.setattr(render, "objects", lambda *_: [DEPLOYMENT, GATEWAY])
    monkeypatch.setattr(source, "key", lambda overlay, wanted, foreign: f"key-of-{wanted}")
    down("delivery")
    assert apply.path(BUDGET) not in cluster.objects
    assert cluster.objects[apply.INVENTORY]["data"]["parts"] == "core"


def test_what_a_controller_writes_until_it_is_gone_does_not_stay(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = {**DEPLOYMENT, "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    monkeypatch.setattr(render, "objects", lambda *_: [DEPLOYMENT, GATEWAY, rollout])
    up("weak-no-pdb")

    async def delete(path: str, **_: Any) -> None:
        if path == apply.path(rollout):
            cluster.objects[apply.path(GATEWAY)]["spec"] = {"steered": True}
        del cluster.objects[path]

    steered = {**GATEWAY, "spec": {"steered": False}}
    monkeypatch.setattr(cluster, "delete", delete)
    monkeypatch.setattr(render, "objects", lambda *_: [BUDGET, DEPLOYMENT, steered])
    up()
    assert cluster.objects[apply.path(GATEWAY)]["spec"] == {"steered": False}


def test_a_stack_is_deployed_again_where_nothing_was_kept_of_it(cluster: Cluster, tmp_path: Path) -> None:
    for file in tmp_path.rglob("key-of-kind.json"):
        file.write_text("{")
    up()
    assert cluster.rounds == 1
    assert render.kept("key-of-kind") == [DEFINITION, ISTIOD, BUDGET, DEPLOYMENT, GATEWAY]


def test_a_workload_whose_pods_are_refused_says_why(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    why = 'pods "web-0" is forbidden: exceeded quota: prod'
    conditions = [
        {"type": "Available", "status": "False", "message": "no minimum availability"},
        {"type": "ReplicaFailure", "status": "True", "message": why},
    ]
    refused = {"metadata": {"name": "web", "generation": 1}, "status": {"conditions": conditions}}
    calm = {"metadata": {"name": "other", "generation": 1}, "status": {}}

    async def listed(path: str, **_: Any) -> list[dict[str, Any]]:
        return [refused, calm] if path.endswith("/deployments") else []

    async def quiet(*_: Any, **__: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        await anyio.sleep_forever()
        yield "", {}

    monkeypatch.setattr(ready, "ROLLOUT_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "list", listed)
    monkeypatch.setattr(cluster, "watch", quiet)
    with pytest.raises(PreconditionFailed, match="not ready after 0 s: web") as told:
        anyio.run(ready.rollouts, cluster, [DEPLOYMENT])
    assert told.value.why == f"web: {why}"


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
