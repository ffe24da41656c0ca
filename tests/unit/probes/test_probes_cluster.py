from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ClusterUnreachable, ObservationFailed
from harness.probes import waiting
from probes import budget, nodes, workload

DEPLOYMENT = "/apis/apps/v1/namespaces/prod/deployments/api"
BUDGET = "/apis/policy/v1/namespaces/prod/poddisruptionbudgets/api-pdb"


def _deployment(**status: Any) -> tuple[int, Any]:
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "api"}}, "template": {"metadata": {}, "spec": None}}
    return 200, {"metadata": {"name": "api", "generation": 2}, "spec": spec, "status": status}


def _node(name: str, *, ready: str = "True", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def test_ready_replicas_are_those_that_are_ready(api: Any) -> None:
    api.answers[DEPLOYMENT] = _deployment(replicas=3, readyReplicas=2)
    assert workload.ready_replicas("prod", "api") == 2


def test_no_ready_replica_is_0(api: Any) -> None:
    api.answers[DEPLOYMENT] = _deployment(replicas=3)
    assert workload.ready_replicas("prod", "api") == 0


def test_ready_pods_are_those_a_selector_picks_that_are_ready_and_stay(api: Any) -> None:
    ready, late = {"conditions": [{"type": "Ready", "status": "True"}]}, {"conditions": None}
    going = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    pods = [({}, ready), ({}, late), (going, ready), ({}, {})]
    items = [{"metadata": {"name": "x", **meta}, "spec": None, "status": status} for meta, status in pods]
    api.answers["/api/v1/namespaces/prod/pods"] = (200, {"items": items})
    assert workload.ready_pods("prod", "app=db") == 1
    assert api.asked[-1] == ("/api/v1/namespaces/prod/pods", {"labelSelector": "app=db"})


@pytest.mark.parametrize(
    ("change", "available"),
    [
        ({}, True),
        ({"availableReplicas": 2}, False),
        ({"updatedReplicas": 2}, False),
        ({"replicas": 4}, False),
        ({"observedGeneration": 1}, False),
    ],
)
def test_a_deployment_is_available_when_all_it_wants_is_there(
    api: Any, change: dict[str, int], available: bool
) -> None:
    whole = {"replicas": 3, "availableReplicas": 3, "updatedReplicas": 3, "observedGeneration": 2}
    api.answers[DEPLOYMENT] = _deployment(**{**whole, **change})
    assert workload.available("prod", "api") is available


def test_a_rollout_is_waited_for_until_the_last_of_the_old_has_gone(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_EVERY", 0.0)
    whole = {"replicas": 3, "availableReplicas": 3, "updatedReplicas": 3, "observedGeneration": 2}
    old, under_way = {**whole, "observedGeneration": 1}, {**whole, "replicas": 4}
    api.first[DEPLOYMENT] = [_deployment(**old), (503, {}), _deployment(**under_way)]
    api.answers[DEPLOYMENT] = _deployment(**whole)
    assert workload.available("prod", "api", wait=60.0) is True
    assert len(api.asked) == 4


def test_a_rollout_that_is_not_over_when_the_time_is_up_is_told(api: Any) -> None:
    api.answers[DEPLOYMENT] = _deployment(replicas=4, availableReplicas=3, updatedReplicas=2, observedGeneration=2)
    assert workload.available("prod", "api", wait=0.01) is False


def test_a_deployment_that_is_missing_is_no_zero(api: Any) -> None:
    with pytest.raises(ObservationFailed, match="404") as failed:
        workload.ready_replicas("prod", "gone")
    assert failed.value.where == "prod/gone"


def test_nodes_are_counted_by_what_they_can_do(api: Any) -> None:
    taint = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    soft = {"key": "spot", "effect": "PreferNoSchedule"}
    items = [
        _node("control-plane", taints=[taint]),
        _node("worker", taints=[soft]),
        _node("worker2", unschedulable=True),
        _node("worker3", ready="Unknown"),
    ]
    api.answers["/api/v1/nodes"] = (200, {"items": items})
    assert nodes.ready_nodes() == 3
    assert nodes.schedulable_nodes("zone=a") == 1
    assert api.asked[-1] == ("/api/v1/nodes", {"labelSelector": "zone=a"})


def test_the_budget_says_how_many_may_go(api: Any) -> None:
    status = {
        "observedGeneration": 3,
        "disruptionsAllowed": 2,
        "currentHealthy": 5,
        "desiredHealthy": 3,
        "expectedPods": 5,
    }
    api.answers[BUDGET] = (200, {"metadata": {"generation": 3}, "status": status})
    assert budget.allowed_disruptions("prod", "api-pdb") == 2


def test_a_budget_that_was_just_changed_is_not_trusted(api: Any) -> None:
    status = {
        "observedGeneration": 2,
        "disruptionsAllowed": 2,
        "currentHealthy": 5,
        "desiredHealthy": 3,
        "expectedPods": 5,
    }
    api.answers[BUDGET] = (200, {"metadata": {"generation": 3}, "status": status})
    with pytest.raises(ObservationFailed, match="not been computed"):
        budget.allowed_disruptions("prod", "api-pdb")


def test_the_runs_context_is_used_never_the_current_one(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CONTEXT", "missing")
    with pytest.raises(ObservationFailed, match="no cluster"):
        workload.ready_replicas("prod", "api")
    api.answers[DEPLOYMENT] = _deployment(readyReplicas=3)
    assert workload.ready_replicas("prod", "api", secrets={"KUBERNETES_CONTEXT": "run"}) == 3


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.HTTPWarning")
def test_an_api_server_that_is_away_is_an_error(api: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "away"
    path.write_text((tmp_path / "kubeconfig").read_text().replace(f":{api.port}", ":1"))
    monkeypatch.setenv("HARNESS_KUBECONFIG", str(path))
    with pytest.raises(ClusterUnreachable):
        workload.ready_replicas("prod", "api")


def test_the_api_server_is_asked_once(api: Any) -> None:
    api.hang_up = True
    with pytest.raises(ClusterUnreachable):
        workload.ready_replicas("prod", "api")
    assert len(api.asked) == 1


def test_a_proxy_is_not_asked_for_an_api_server_of_this_machine(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    api.answers[DEPLOYMENT] = _deployment(readyReplicas=2)
    assert workload.ready_replicas("prod", "api") == 2
