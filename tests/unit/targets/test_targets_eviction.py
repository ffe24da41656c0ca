"""The eviction API's answers are told apart."""

from __future__ import annotations

import pytest

from harness.errors import ApiError, ObservationFailed, PreconditionFailed
from harness.faults import FAULTS
from harness.targets import eviction
from harness.workloads import Workload
from tests.unit.targets.fakes import PODS, FakeKube, planned, pod, reach

pytestmark = pytest.mark.anyio


BUDGET = {
    "metadata": {"name": "web"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}},
    "status": {"disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 2},
}
NO = (429, {"message": "no", "details": {"causes": [{"reason": "DisruptionBudget"}]}})
TWO = (500, {"message": "This pod has more than one PodDisruptionBudget, which the eviction subresource does not do"})
BUSY = (429, {"message": "too many requests, please try again later"})
BUDGETS = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets"


async def test_a_refused_eviction_is_an_answer_with_its_arithmetic():
    kube = FakeKube({BUDGETS: [BUDGET]})
    kube.answers, seen = [NO], []
    facts = await eviction.evict(reach(kube, emit=lambda kind, data: seen.append((kind, data))), pod(), deadline=0)
    assert (facts["status"], facts["attempts"]) == (429, 1)
    ((kind, data),) = seen
    assert kind == "eviction"
    assert (data["status"], data["allowed"], data["healthy"], data["desired"]) == (429, 0, 2, 2)


@pytest.mark.case(9, "an eviction that the API server grants by its own rules", "what it decides by is recorded")
async def test_what_the_api_server_decides_by_is_recorded_with_each_answer():
    budget = {
        **BUDGET,
        "metadata": {"name": "web", "generation": 2},
        "spec": {**BUDGET["spec"], "unhealthyPodEvictionPolicy": "AlwaysAllow"},
        "status": {**BUDGET["status"], "observedGeneration": 1},
    }
    waiting = pod(ready=False, going=True)
    waiting["status"]["phase"] = "Running"
    kube = FakeKube({BUDGETS: [budget], f"{PODS}/web-uid-1": waiting})
    kube.answers, seen = [(201, {})], []
    owner = Workload("apps/v1", "Deployment", "web", "shop", "uid-web")
    there = reach(kube, emit=lambda kind, data: seen.append(data))
    await eviction.evict(there, pod(), deadline=0, owner=owner)
    ((data),) = seen
    told = {key: data[key] for key in ("phase", "ready", "terminating", "policy", "generation", "observed", "owner")}
    assert told == {
        "phase": "Running",
        "ready": False,
        "terminating": "2026-01-01T00:00:00Z",
        "policy": "AlwaysAllow",
        "generation": 2,
        "observed": 1,
        "owner": "shop/Deployment/web",
    }


async def test_a_refused_eviction_is_asked_again_until_its_deadline(monkeypatch):
    monkeypatch.setattr(eviction, "RETRY_SECONDS", 0)
    kube = FakeKube()
    kube.answers = [NO, NO, (201, {})]
    facts = await eviction.evict(reach(kube), pod(), deadline=60)
    assert (facts["status"], facts["attempts"], facts["budget"]) == (201, 3, None)


async def test_an_eviction_that_two_budgets_claim_is_told_apart():
    kube = FakeKube()
    kube.answers = [TWO]
    assert (await eviction.evict(reach(kube), pod(), deadline=60))["status"] == 500


async def test_an_eviction_that_is_forbidden_is_an_error():
    kube = FakeKube()
    kube.answers = [(403, {"message": "no"})]
    with pytest.raises(ApiError):
        await eviction.evict(reach(kube), pod(), deadline=0)


async def test_a_run_that_lost_its_right_evicts_nothing():
    kube = FakeKube()

    async def guard() -> None:
        raise PreconditionFailed("no right")

    with pytest.raises(PreconditionFailed):
        await eviction.evict(reach(kube, guard=guard), pod(), deadline=0)
    assert kube.evicted == []


async def test_a_refused_eviction_needs_no_healing():
    fault, there = planned("pod_evict"), reach(FakeKube())
    there.note(fault).update(status=429, message="no")
    assert await FAULTS["pod_evict"].felt(fault, there) == {"status": 429, "message": "no", "refused": True}
    assert await FAULTS["pod_evict"].healed(fault, there) == {"refused": True}


@pytest.mark.parametrize("busy", [BUSY, (500, {"message": "etcdserver: request timed out"}), (503, {})])
async def test_a_busy_api_server_is_no_budget_and_is_asked_again(monkeypatch, busy):
    monkeypatch.setattr(eviction, "RETRY_SECONDS", 0)
    kube, seen = FakeKube(), []
    kube.answers = [busy, (201, {})]
    facts = await eviction.evict(reach(kube, emit=lambda _, data: seen.append(data["cause"])), pod(), deadline=0)
    assert (facts["status"], facts["attempts"], seen) == (201, 2, ["", ""])


async def test_an_api_server_that_stays_busy_is_an_error_and_not_a_refusal(monkeypatch):
    monkeypatch.setattr(eviction, "BUSY_SECONDS", 0)
    kube = FakeKube()
    kube.answers = [BUSY]
    with pytest.raises(ApiError):
        await eviction.evict(reach(kube), pod(), deadline=0)


CHANGED = {"reason": "DisruptionBudget", "message": "The disruption budget web is still being processed"}
UNDECIDED = (429, {"message": "Cannot evict pod", "details": {"causes": [CHANGED]}})


@pytest.mark.case(9, "a budget that has just been changed", "asked again: it has decided nothing yet")
async def test_a_budget_that_has_decided_nothing_yet_is_asked_again(monkeypatch):
    monkeypatch.setattr(eviction, "RETRY_SECONDS", 0)
    kube = FakeKube()
    kube.answers = [UNDECIDED, NO]
    facts = await eviction.evict(reach(kube), pod(), deadline=0)
    assert (facts["status"], facts["attempts"], facts["message"]) == (429, 2, "no")


async def test_what_an_answer_says_includes_its_causes(monkeypatch):
    monkeypatch.setattr(eviction, "BUSY_SECONDS", 0)
    kube = FakeKube()
    kube.answers = [UNDECIDED]
    facts = await eviction.evict(reach(kube), pod(), deadline=0)
    assert facts["message"] == "Cannot evict pod; The disruption budget web is still being processed"


async def test_an_eviction_that_two_budgets_claim_is_not_felt():
    fault, there = planned("pod_evict"), reach(FakeKube())
    there.note(fault).update(status=500, message="more than one")
    with pytest.raises(ObservationFailed, match="neither granted nor refused"):
        await FAULTS["pod_evict"].felt(fault, there)
