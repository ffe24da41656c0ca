"""What an autoscaler sees, and the pods that come of it, are asked for until they are so, or the time is up."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ObservationFailed
from harness.probes import waiting
from probes import scaling

AUTOSCALER = "/apis/autoscaling/v2/namespaces/prod/horizontalpodautoscalers/api"
PODS = "/api/v1/namespaces/prod/pods"
AWAY = (0, {})
LONG = 60.0


def autoscaler(*seen: str) -> tuple[int, Any]:
    """Tell of an autoscaler with two metrics of which it saw these."""
    told = [{"type": "Resource", "resource": {"name": name, "current": {"averageUtilization": 9}}} for name in seen]
    target = {"kind": "Deployment", "name": "api"}
    spec = {"scaleTargetRef": target, "maxReplicas": 8, "metrics": [{"type": "Resource"}, {"type": "Resource"}]}
    return 200, {"metadata": {"name": "api"}, "spec": spec, "status": {"currentMetrics": told}}


def pods(ready: int, others: int = 0) -> tuple[int, Any]:
    def pod(number: int, *, so: bool) -> dict[str, Any]:
        condition = {"type": "Ready", "status": str(so)}
        return {"metadata": {"name": f"api-{number}"}, "spec": None, "status": {"conditions": [condition]}}

    return 200, {"items": [pod(number, so=number < ready) for number in range(ready + others)]}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_EVERY", 0.0)


def test_one_look_says_how_many_metrics_it_saw(api: Any) -> None:
    api.answers[AUTOSCALER] = autoscaler("cpu")
    assert scaling.measured("prod", "api") == 1


def test_it_is_asked_until_it_sees_all(api: Any) -> None:
    api.first[AUTOSCALER] = [autoscaler(), AWAY, autoscaler("cpu")]
    api.answers[AUTOSCALER] = autoscaler("cpu", "memory")
    assert scaling.measured("prod", "api", LONG) == 2
    assert len(api.asked) == 4


def test_what_it_does_not_see_when_the_time_is_up_is_told(api: Any) -> None:
    api.answers[AUTOSCALER] = autoscaler("cpu")
    assert scaling.measured("prod", "api", 0.01) == 1


def test_an_autoscaler_that_is_not_there_sees_nothing_for_certain(api: Any) -> None:
    with pytest.raises(ObservationFailed, match="404"):
        scaling.measured("prod", "api", LONG)


def test_pods_are_counted_until_there_are_so_many(api: Any) -> None:
    api.first[PODS] = [pods(5), pods(5, 3), AWAY]
    api.answers[PODS] = pods(8)
    assert scaling.ready_pods("prod", "app=api", least=8, most=8, wait=LONG) == 8
    assert len(api.asked) == 4


def test_as_many_as_there_are_when_the_time_is_up_are_told(api: Any) -> None:
    api.answers[PODS] = pods(7)
    assert scaling.ready_pods("prod", "app=api", least=0, most=5, wait=0.01) == 7
