"""What an autoscaler says is read as it means it: it is blind only for want of metrics."""

from __future__ import annotations

from typing import Any

import pytest

from harness.workloads import autoscalers

SEEN = [
    {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 23, "averageValue": "11m"}}},
    {"type": "Pods", "pods": {"metric": {"name": "queue"}, "current": {"averageValue": "920m"}}},
]
# What the controller writes in the place of a metric that it could not see.
UNSEEN = {"type": ""}


def autoscaler(status: str = "True", reason: str = "ValidMetricFound", **more: Any) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    conditions = [
        {"type": "ScalingActive", "status": status, "reason": reason, "message": "said so"},
        {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"},
    ]
    told = {"desiredReplicas": 8, "currentReplicas": 8, "currentMetrics": SEEN, "conditions": conditions}
    return {"spec": {"scaleTargetRef": target, "minReplicas": 5, "maxReplicas": 8}, "status": {**told, **more}}


def test_one_that_sees_says_what_it_saw_and_what_keeps_it() -> None:
    assert autoscalers.state(autoscaler()) == autoscalers.State(
        target="Deployment/web",
        least=5,
        most=8,
        wanted=8,
        blind=False,
        limited="TooManyReplicas",
        measured=("cpu 23 %", "queue 920m"),
        message="",
    )


@pytest.mark.parametrize("reason", ["FailedGetResourceMetric", "FailedGetPodsMetric", "FailedGetExternalMetric"])
def test_one_without_metrics_is_blind_and_still_wants_what_it_wanted(reason: str) -> None:
    found = autoscalers.state(autoscaler("False", reason, currentMetrics=[UNSEEN, UNSEEN]))
    assert (found.blind, found.wanted, found.measured, found.message) == (True, 8, (), "said so")


@pytest.mark.parametrize("reason", ["ScalingDisabled", "AmbiguousSelector"])
def test_one_that_is_kept_from_scaling_by_anything_else_is_not_blind(reason: str) -> None:
    assert not autoscalers.state(autoscaler("False", reason)).blind


def test_a_metric_that_it_could_not_see_is_left_out() -> None:
    assert autoscalers.state(autoscaler(currentMetrics=[UNSEEN, SEEN[1]])).measured == ("queue 920m",)


@pytest.mark.parametrize("status", [None, {}, {"desiredReplicas": 0, "currentMetrics": None}])
def test_one_that_has_never_looked_wants_nothing_yet(status: Any) -> None:
    item = {**autoscaler(), "status": status}
    del item["spec"]["minReplicas"]
    found = autoscalers.state(item)
    assert (found.wanted, found.least, found.blind, found.measured) == (None, 1, False, ())
