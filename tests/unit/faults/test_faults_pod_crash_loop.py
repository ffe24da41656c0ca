"""A container in a loop of ends: what its agent is told, what counts as felt, when it is back, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.engine.planning import plan
from harness.errors import InjectionFailed, ObservationFailed, UsageError
from harness.faults import FAULTS, pod_crash_loop
from harness.workloads.pod import MIRROR
from tests.unit.faults.documents import stated
from tests.unit.faults.scripted import FAULT, Ended
from tests.unit.targets.fakes import PODS, FakeKube, planned, pod, reach, web

pytestmark = pytest.mark.anyio
KIND = FAULTS["pod_crash_loop"]
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}
RUNS = {"running": {}}


def seen(state: dict[str, Any], restarts: int, *, identity: str = "abc123", ready: bool = False, **more: Any) -> Any:
    """Make the pod as the kubelet reports it."""
    found = pod(ready=ready)
    found["spec"] |= more
    found["metadata"]["creationTimestamp"] = "0"
    about = {"name": "web", "containerID": f"containerd://{identity}", "state": state, "ready": ready}
    found["status"]["containerStatuses"] = [{**about, "restartCount": restarts}]
    return found


def cluster(*then: dict[str, Any], before: Any = None, status: dict[str, Any] | None = None) -> FakeKube:
    """One pod that runs, what becomes of it, and what its agent says of the fault."""
    target = before or seen(RUNS, 1, ready=True)
    faults = [{"metadata": {"uid": "u", "name": "run-1"}, "status": status or {}}]
    objects = {PODS: [target], f"{PODS}/web-1": target, f"{PODS}/web-uid-1": target, FAULT: faults, **web()}
    return FakeKube(objects, [("MODIFIED", one) for one in then])


async def ordered(kube: FakeKube) -> tuple[Any, Any]:
    at, fault = reach(kube), planned("pod_crash_loop")
    assert KIND.order
    return at, await KIND.order(fault, at)


async def felt(kube: FakeKube) -> Any:
    at, _ = await ordered(kube)
    return await KIND.felt(planned("pod_crash_loop"), at)


async def test_the_agent_is_told_the_container_by_id_and_by_name_and_when_to_stop():
    _, told = await ordered(cluster())
    wanted = {"op": "crash", "container": "abc123", "name": "web", "seconds": pod_crash_loop.LONGEST_SECONDS}
    assert told == wanted


async def test_it_is_felt_when_the_kubelet_has_started_it_twice_and_holds_it_back():
    kube = cluster(seen(BACK_OFF, 2), seen(RUNS, 3), seen(BACK_OFF, 3))
    assert await felt(kube) == {"restarts": 2, "waiting": "CrashLoopBackOff"}


@pytest.mark.parametrize(
    ("state", "restarts"),
    [(BACK_OFF, 2), (RUNS, 9), ({"waiting": {"reason": "ImagePullBackOff"}}, 9)],
    ids=["started once", "it runs", "held back by something else"],
)
async def test_it_is_not_felt_otherwise(state: dict[str, Any], restarts: int):
    kube = cluster(seen(state, restarts), pod("uid-9"), seen(BACK_OFF, 3))
    kube.changes[1] = ("DELETED", kube.objects[PODS][0])
    with pytest.raises(ObservationFailed, match="went away"):
        await felt(kube)


async def test_a_pod_that_was_replaced_before_is_left_alone():
    kube = cluster()
    kube.objects[f"{PODS}/web-1"] = pod("uid-9")
    with pytest.raises(InjectionFailed, match="deleted between"):
        await ordered(kube)


DONE = {"appliedAt": "now", "evidence": {"crash": {"ended": 3, "did": {"ended": 3}}}}


async def healed(*then: dict[str, Any]) -> Any:
    """Heal it, and return what ended the wait."""
    kube = cluster(*then, status={**DONE, "healedAt": "now"})
    at, _ = await ordered(kube)
    fault = planned("pod_crash_loop")
    await KIND.heal(fault, at)
    return await KIND.healed(fault, at)


async def test_it_is_healed_when_it_was_started_once_more_after_each_end_and_is_ready():
    """What the kubelet has not told yet looks as if nothing had happened."""
    late = seen(RUNS, 3, identity="def456", ready=True)
    found = await healed(late, seen(BACK_OFF, 3), seen(RUNS, 4), seen(RUNS, 4, ready=True))
    assert found == {"restarts": 3, "ready": True}


async def test_a_pod_that_somebody_else_deleted_is_healed_by_the_one_in_its_place():
    other = pod("uid-2")
    kube = cluster(status={**DONE, "healedAt": "now"})
    at, _ = await ordered(kube)
    kube.objects[PODS] = [other]
    assert (await KIND.healed(planned("pod_crash_loop"), at))["pod"] == "replaced"


@pytest.mark.parametrize("twice", [1, 2])
async def test_what_ended_before_it_was_to_was_not_felt_as_asked(twice: int):
    over, said = {**DONE, "healedAt": "now", "message": "its time is over"}, list[Any]()
    at = reach(Ended(over, over), emit=lambda *one: said.append(one))
    for _ in range(twice):
        await KIND.heal(planned("pod_crash_loop"), at)
    assert said[0][1]["evidence"] == {"counted": "ended 3 times"}
    assert said[1] == ("fault.not_felt", {"id": "run-1", "why": "it ended early: its time is over"})


class Known(FakeKube):
    context = "here"


@pytest.mark.parametrize(
    ("policy", "annotations", "why"),
    [("OnFailure", {}, "restarts are counted"), ("Always", {MIRROR: "4f1d"}, "static pod")],
)
async def test_what_would_not_come_back_or_not_be_found_is_refused_with_its_line(policy, annotations, why):
    target = seen(RUNS, 0, ready=True, restartPolicy=policy, nodeName="worker")
    target["metadata"]["annotations"] = annotations
    kube = Known(cluster(before=target).objects)
    with pytest.raises(UsageError, match=why) as refused:
        await plan.resolve(kube, stated("pod_crash_loop"), run="r", seed=1, alone=True)  # type: ignore[arg-type]
    assert refused.value.where == "x.yaml:8: shop/web-uid-1"


async def test_a_container_that_the_kubelet_holds_back_for_longer_than_the_run_waits_is_left_alone():
    """Ended again it would wait for twice as long as the last time."""
    now = datetime.now(UTC)
    began, ended = (f"{now - timedelta(seconds=ago):%Y-%m-%dT%H:%M:%SZ}" for ago in (10, 92))
    target = seen({"running": {"startedAt": began}}, 5, ready=True, nodeName="worker")
    target["status"]["containerStatuses"][0]["lastState"] = {"terminated": {"finishedAt": ended, "reason": "Error"}}
    kube = Known(cluster(before=target).objects)
    with pytest.raises(InjectionFailed, match="only after about 160 s"):
        await plan.resolve(kube, stated("pod_crash_loop"), run="r", seed=1, alone=True)  # type: ignore[arg-type]
