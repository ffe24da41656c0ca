"""Bringing up a stack that was deployed before: what somebody changed or removed comes back."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cli import parts as listed
from harness.cluster import local
from harness.errors import PreconditionFailed, UsageError
from harness.stack import apply, deploy, istio, ready, render, source
from tests.unit.stack.deployed import (
    BUDGET,
    CLUSTER,
    DEFINITION,
    DEPLOYMENT,
    GATEWAY,
    ISTIOD,
    MONITORING,
    WEB,
    Cluster,
    up,
)


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


def test_the_definitions_of_a_part_that_goes_stay_and_are_named(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollouts = {**DEFINITION, "metadata": {"name": "rollouts.argoproj.io"}}
    cluster.objects[apply.path(rollouts)] = rollouts
    data = cluster.objects[apply.INVENTORY]["data"]
    data |= {"parts": "core,delivery", "paths": json.dumps([*apply.paths(data), apply.path(rollouts)])}
    monkeypatch.setattr(source, "key", lambda overlay, wanted, foreign: f"key-of-{wanted}")
    told = [line for line in down("delivery") if "definitions stay" in line]
    assert "rollouts.argoproj.io; `kubectl --kubeconfig k delete crd NAME`" in told[0]
    assert DEFINITION["metadata"]["name"] not in told[0]
    assert apply.path(rollouts) in cluster.objects


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
