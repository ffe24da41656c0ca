"""What one pod says of itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.workloads.pod import grace, is_ready, never_ready, overdue, starts_again
from tests.unit.workloads.objects import pod

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def test_a_terminating_pod_is_not_ready() -> None:
    assert is_ready(pod("p"))
    assert not is_ready(pod("p", going=True))
    assert not is_ready(pod("p", ready=False))


@pytest.mark.parametrize(("spec", "seconds"), [({}, 30.0), ({"terminationGracePeriodSeconds": 90}, 90.0)])
def test_a_pod_has_the_grace_that_it_names(spec: dict[str, Any], seconds: float) -> None:
    assert grace(pod("p", **spec)) == seconds
    assert grace(pod("p", terminationGracePeriodSeconds=0)) == 0.0


@pytest.mark.parametrize(
    ("policy", "failed", "again"),
    [("Always", False, True), ("OnFailure", True, True), ("OnFailure", False, False), ("Never", True, False)],
)
def test_a_container_starts_again_as_its_pods_policy_says(policy: str, failed: bool, again: bool) -> None:
    assert starts_again(pod("p", restartPolicy=policy), "c", failed=failed) is again


def test_a_sidecar_always_starts_again() -> None:
    made = pod("p", restartPolicy="Never", initContainers=[{"name": "proxy", "restartPolicy": "Always"}])
    assert starts_again(made, "proxy", failed=True)
    assert not starts_again(made, "c", failed=True)


def waiting(ago: float, unready_after: float = 0, **more: Any) -> dict[str, Any]:
    started = NOW - timedelta(seconds=ago)
    made = pod("p", ready=False, **more)
    made["status"]["startTime"] = started.isoformat()
    (ready,) = made["status"]["conditions"]
    ready["lastTransitionTime"] = (started + timedelta(seconds=unready_after)).isoformat()
    return made


@pytest.mark.case(9, "a pod that was never Ready", "it is how the system is, not what a disturbance left behind")
def test_a_pod_that_was_never_ready_is_told_from_one_that_is_so_no_more() -> None:
    assert never_ready(waiting(90), NOW) == 90.0
    assert never_ready(waiting(90, unready_after=30), NOW) == 0.0
    assert never_ready(waiting(90, going=True), NOW) == 0.0
    assert never_ready(pod("p"), NOW) == 0.0
    assert never_ready(pod("p", ready=False), NOW) == 0.0


@pytest.mark.case(9, "a pod for which there is no node", "it is how the system is, once it has waited for a minute")
def test_a_pod_that_waits_for_a_node_was_never_ready() -> None:
    homeless = pod("p")
    since = (NOW - timedelta(seconds=70)).isoformat()
    homeless["status"] = {"conditions": [{"type": "PodScheduled", "status": "False", "lastTransitionTime": since}]}
    assert never_ready(homeless, NOW) == 70.0
    gated = pod("p")
    gated["metadata"]["creationTimestamp"] = since
    gated["status"] = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}
    assert never_ready(gated, NOW) == 70.0
    homeless["status"]["conditions"][0]["status"] = "True"
    assert never_ready(homeless, NOW) == 0.0


def test_a_pod_is_overdue_from_the_time_by_which_it_should_have_been_gone() -> None:
    told = pod("p")
    assert overdue(told, NOW) == 0.0
    told["metadata"]["deletionTimestamp"] = (NOW - timedelta(seconds=70)).isoformat()
    assert overdue(told, NOW) == 70.0
    told["metadata"]["deletionTimestamp"] = (NOW + timedelta(seconds=30)).isoformat()
    assert overdue(told, NOW) == 0.0
