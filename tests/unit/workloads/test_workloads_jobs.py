"""What a Job makes of a pod that ends before its work is done: another one, or an end of the Job."""

from __future__ import annotations

from typing import Any

import pytest

from harness.workloads import Owners
from harness.workloads.jobs import Ending
from tests.unit.workloads.objects import Object, Server, item, pod, reference

pytestmark = pytest.mark.anyio
KILLED, EVICTED = Ending(), Ending(evicted=True)
ON_DISRUPTION = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
IGNORES = {"action": "Ignore", **ON_DISRUPTION}
NEVER = {"restartPolicy": "Never"}


def on_codes(*values: int, operator: str = "In", **more: Any) -> Object:
    return {"onExitCodes": {"operator": operator, "values": list(values), **more}}


def policy(*rules: Object, **spec: Any) -> Object:
    return {"podFailurePolicy": {"rules": list(rules)}, **spec}


@pytest.mark.parametrize(
    ("spec", "ending", "why"),
    [
        ({"backoffLimit": 0}, KILLED, "may fail 0 times"),
        ({"backoffLimit": 0}, EVICTED, "may fail 0 times"),
        ({"backoffLimit": 1}, KILLED, ""),
        ({"backoffLimit": 1}, Ending(others=1), "1 more of its pods are to go, and may fail 1 times"),
        # What the Job does not count costs it nothing.
        (policy(IGNORES, backoffLimit=0), EVICTED, ""),
        (policy(IGNORES, backoffLimit=0), KILLED, "may fail 0 times"),
        (policy({"action": "Ignore", **on_codes(137, 143)}, backoffLimit=0), KILLED, ""),
        (policy({"action": "Ignore", **on_codes(137)}, backoffLimit=0), KILLED, "may fail 0 times"),
        (policy({"action": "Ignore", **on_codes(1, operator="NotIn")}, backoffLimit=0), KILLED, ""),
        # What ends the Job ends it at the first time.
        (policy({"action": "FailJob", **ON_DISRUPTION}), EVICTED, "podFailurePolicy would fail the Job"),
        (policy({"action": "FailJob", **ON_DISRUPTION}), KILLED, ""),
        (policy({"action": "FailJob", **on_codes(42)}), KILLED, ""),
        (policy({"action": "FailJob", **on_codes(42, operator="NotIn")}), KILLED, "would fail the Job"),
        (policy({"action": "FailJob", **on_codes(143)}), KILLED, "would fail the Job"),
        (policy({"action": "FailJob", **on_codes(143, containerName="c")}), EVICTED, "would fail the Job"),
        (policy({"action": "FailJob", **on_codes(143, containerName="other")}), KILLED, ""),
        (policy({"action": "FailIndex", **on_codes(137)}, backoffLimitPerIndex=3), KILLED, "fail the pod's index"),
        # The first rule that matches says it.
        (policy(IGNORES, {"action": "FailJob", **on_codes(1, operator="NotIn")}), EVICTED, ""),
        (policy({"action": "Count", **on_codes(143)}, {"action": "FailJob", **on_codes(143, 137)}), KILLED, "fail the"),
        (policy({"action": "Count", **on_codes(143, 137)}, {"action": "FailJob", **on_codes(143)}), KILLED, ""),
        # Both limits hold.
        ({"backoffLimitPerIndex": 2, "backoffLimit": 0}, KILLED, "it has failed 0 times and may fail 0 times"),
        ({"backoffLimitPerIndex": 2, "backoffLimit": 5}, KILLED, ""),
        ({"backoffLimitPerIndex": 1}, Ending(others=7), ""),
    ],
)
async def test_a_pod_is_replaced_where_its_job_goes_on_without_it(spec: Object, ending: Ending, why: str) -> None:
    owners = Owners(Server(item("Job", "x", spec=spec)))
    said = await owners.unreplaced(pod("p", reference("Job", "x"), **NEVER), ending)
    assert (why in said) if why else not said


async def test_an_index_that_has_failed_as_often_as_it_may_gets_no_other_pod() -> None:
    mine = pod("p", reference("Job", "x"), **NEVER)
    mine["metadata"]["annotations"] = {"batch.kubernetes.io/job-index-failure-count": "1"}
    owners = Owners(Server(item("Job", "x", spec={"backoffLimitPerIndex": 1})))
    assert "this index has failed 1 times and may fail 1 times" in await owners.unreplaced(mine, KILLED)


async def test_failures_that_the_job_has_not_counted_yet_count() -> None:
    counted = item("Job", "x", spec={"backoffLimit": 2}, failed=1, uncountedTerminatedPods={"failed": ["uid-a"]})
    assert "failed 2 times" in await Owners(Server(counted)).unreplaced(pod("p", reference("Job", "x")), KILLED)


def started(times: int, policy: str = "OnFailure") -> Object:
    mine = pod("p", reference("Job", "x"), restartPolicy=policy)
    mine["status"]["containerStatuses"] = [{"name": "c", "restartCount": times}]
    return mine


@pytest.mark.parametrize(
    ("mine", "spec", "ends"),
    [
        (started(0), {"backoffLimit": 0}, True),
        (started(0), {"backoffLimit": 1}, True),
        (started(0), {"backoffLimit": 2}, False),
        (started(1), {"backoffLimit": 2}, True),
        (started(4), {}, False),
        (started(5), {}, True),
        (started(5, "Never"), {}, False),
        (started(5, "Always"), {}, False),
    ],
)
async def test_a_job_ends_when_containers_were_started_again_too_often(mine: Object, spec: Object, ends: bool) -> None:
    why = await Owners(Server(item("Job", "x", spec=spec))).worn_out(mine)
    assert ("Job/x would end" in why) is ends


@pytest.mark.case(13, "a Job whose containers were started again in several of its pods", "all of these count")
@pytest.mark.parametrize(
    ("beside", "others", "ends"),
    [((1, 2), 0, True), ((1, 1), 0, False), ((1, 1), 1, True), ((1, None), 0, False), ((), 3, True), ((), 2, False)],
)
async def test_a_job_counts_how_often_the_containers_of_all_its_pods_were_started(
    beside: tuple[int | None, ...], others: int, ends: bool
) -> None:
    # One that has ended counts no more, and neither does one of another Job.
    every = [started(4 if times is None else times) for times in beside]
    for number, one in enumerate(every):
        one["metadata"]["uid"] = f"uid-{number}"
        one["status"]["phase"] = "Failed" if beside[number] is None else "Running"
    stranger = pod("s", reference("Job", "y"), restartPolicy="OnFailure")
    stranger["status"]["containerStatuses"] = [{"name": "c", "restartCount": 9}]
    server = Server(item("Job", "x", spec={"backoffLimit": 5}), item("Job", "y"))
    why = await Owners(server).worn_out(started(1), [*every, stranger], others)
    assert ("Job/x would end" in why) is ends


async def test_no_other_workload_counts_how_often_its_containers_were_started() -> None:
    mine = pod("p", reference("StatefulSet", "x"), restartPolicy="OnFailure")
    mine["status"]["containerStatuses"] = [{"name": "c", "restartCount": 99}]
    assert await Owners(Server(item("StatefulSet", "x"))).worn_out(mine) == ""


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({}, ""),
        ({"conditions": [{"type": "Complete", "status": "True"}]}, ""),
        ({"conditions": [{"type": "Failed", "status": "False"}]}, ""),
        ({"conditions": [{"type": "Failed", "status": "True", "message": "too often"}]}, "has failed: too often"),
        ({"conditions": [{"type": "FailureTarget", "status": "True", "reason": "PodFailurePolicy"}]}, "PodFailure"),
    ],
)
async def test_a_job_that_has_failed_is_told_from_one_that_is_done(status: Object, why: str) -> None:
    owners = Owners(Server(item("Job", "x", **status)))
    workload = await owners.of(pod("p", reference("Job", "x")))
    assert workload is not None
    said = await owners.failed(workload)
    assert (why in said) if why else not said
