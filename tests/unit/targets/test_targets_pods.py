"""Who replaces a pod, when it is felt gone, and when its workload is whole again."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from harness.cluster import observe
from harness.errors import ApiError, ClusterUnreachable, InjectionFailed, ObservationFailed
from harness.faults import FAULTS
from harness.targets import containers, pods
from harness.targets.reach import Reach
from harness.workloads.pod import MIRROR
from tests.unit.targets.fakes import PODS, FakeKube, planned, pod, reach, reference, stays, web

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("selector", "picked"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
        ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
    ],
)
def test_a_selector_picks_as_the_api_server_does(selector, picked):
    assert pods.selects(selector, {"app": "web"}) is picked


def lonely(policy: str = "Always", **container: Any) -> dict[str, Any]:
    """Make a pod that no controller owns."""
    item = pod()
    del item["metadata"]["ownerReferences"]
    item["spec"] = {"restartPolicy": policy, "containers": [{"name": "web", **container}]}
    return item


async def test_a_pod_that_nothing_would_replace_is_not_killed():
    kube = FakeKube({f"{PODS}/web-1": lonely()})
    for kind in ("pod_kill", "pod_evict"):
        with pytest.raises(InjectionFailed, match="replace"):
            await FAULTS[kind].inject(planned(kind), reach(kube))
    assert (kube.deleted, kube.evicted) == ([], [])


PROBED = {"livenessProbe": {"periodSeconds": 1}}


@pytest.mark.case(13, "a pod that nobody replaces, and a fault that leaves it", "allowed: nothing is lost")
@pytest.mark.parametrize(
    ("kind", "parameters", "item", "lost"),
    [
        ("pod_kill", {}, lonely(), True),
        ("pod_evict", {}, lonely(), True),
        ("node_drain", {}, lonely(), True),
        ("node_cordon", {}, lonely(), False),
        ("node_freeze", {}, lonely("Never"), False),
        ("node_stop", {}, lonely("OnFailure"), False),
        ("node_stop", {}, lonely("Never"), True),
        ("pod_freeze", {}, lonely(), False),
        ("pod_freeze", {}, lonely("Never"), False),
        ("pod_freeze", {}, lonely("OnFailure", **PROBED), False),
        ("pod_freeze", {}, lonely("Never", **PROBED), True),
        ("container_kill", {}, lonely(), False),
        ("container_kill", {}, lonely("OnFailure"), False),
        ("container_kill", {"signal": "SIGKILL"}, lonely("OnFailure"), False),
        ("container_kill", {"signal": "TERM"}, lonely("OnFailure"), True),
        ("container_kill", {"signal": "TERM"}, lonely(), False),
        ("container_kill", {}, lonely("Never"), True),
        ("container_kill", {}, lonely("Never", restartPolicy="Always"), False),
    ],
)
async def test_a_pod_that_nobody_replaces_is_lost_only_to_what_does_not_leave_it(kind, parameters, item, lost):
    kube = FakeKube()
    fate = FAULTS[kind].fate(planned(kind, **parameters), item)
    why = await pods.lost_for_good(reach(kube).owners, item, fate)
    assert bool(why) is lost


async def test_a_fault_that_leaves_a_pod_that_nobody_owns_is_prepared():
    kube = FakeKube({f"{PODS}/web-1": lonely(), PODS: [lonely()]})
    there = await taken(kube, "pod_freeze")
    assert there.note(planned("pod_freeze"))["owner"] is None


async def test_a_container_that_ended_its_pod_for_good_is_back_with_the_pod_that_takes_its_place():
    done = pod("uid-1", ready=False)
    done["status"]["phase"] = "Failed"
    kube = cluster(("ADDED", pod("uid-3")), found=[pod("uid-1"), pod("uid-2")])
    there = await taken(kube, "container_kill")
    there.note(planned("container_kill")).update(container="web", id="x", restarts=0)
    kube.objects[PODS] = [done, pod("uid-2")]
    with anyio.fail_after(30):
        facts = await FAULTS["container_kill"].healed(planned("container_kill"), there)
    assert facts == {"pod": "replaced", "owner": "Deployment/web", "ready": 2, "desired": 2}


async def taken(kube: FakeKube, kind: str = "pod_kill", **parameters: Any) -> Reach:
    """Note what a fault notes of the pod uid-1 before it does anything."""
    there = reach(kube)
    await pods.prepare(planned(kind, **parameters), there, FAULTS[kind].fate)
    return there


def cluster(*changes: tuple[str, dict[str, Any]], found: list[dict[str, Any]], replicas: int = 2) -> FakeKube:
    """Make a Deployment `web` of `shop`, some pods, and what becomes of them."""
    return FakeKube({**web(replicas), f"{PODS}/web-1": pod("uid-1"), PODS: found}, list(changes))


async def test_a_kill_is_felt_when_the_pod_goes():
    kube = cluster(
        ("MODIFIED", pod("uid-1", going=True)),
        ("DELETED", pod("uid-1")),
        found=[pod("uid-1"), pod("uid-2")],
    )
    there = await taken(kube)
    with anyio.fail_after(30):
        facts = await pods.removed(planned("pod_kill"), there)
    assert facts == {"uid": "uid-1", "state": "terminating"}


@pytest.mark.case(
    23, "a pod that takes long to terminate", "felt when it is going; waited for as long as its own grace"
)
async def test_a_kill_is_felt_while_the_pod_still_takes_its_time_to_go():
    slow = pod("uid-1")
    slow["spec"]["terminationGracePeriodSeconds"] = 90
    kube = cluster(("MODIFIED", pod("uid-1", going=True)), found=[slow, pod("uid-2")])
    kube.objects[f"{PODS}/web-1"] = slow
    there = await taken(kube)
    with anyio.fail_after(30):
        facts = await pods.removed(planned("pod_kill"), there)
    assert facts == {"uid": "uid-1", "state": "terminating"}
    assert there.note(planned("pod_kill"))["grace"] == 90.0
    there = await taken(kube, grace=0)
    assert there.note(planned("pod_kill"))["grace"] == 0.0


async def test_a_kill_is_felt_when_the_pod_is_gone_already():
    there = await taken(cluster(("DELETED", pod("uid-1")), found=[pod("uid-1")]))
    with anyio.fail_after(30):
        assert await pods.removed(planned("pod_kill"), there) == {"uid": "uid-1", "state": "gone"}


async def test_a_kill_is_not_felt_while_the_pod_stays():
    kube = FakeKube({PODS: [pod("uid-1")]}, [("ADDED", pod("uid-3"))])
    assert await stays(pods.removed(planned("pod_kill"), reach(kube)))


async def test_a_workload_is_whole_only_without_the_pod_that_was_killed():
    there = await taken(cluster(("ADDED", pod("uid-3")), found=[pod("uid-1"), pod("uid-2")]))
    with anyio.fail_after(30):
        facts = await pods.replaced(planned("pod_kill"), there)
    assert facts == {"owner": "Deployment/web", "ready": 2, "desired": 2}


@pytest.mark.case(4, "two workloads whose pods share labels", "only the owner's own pods count as back")
async def test_a_ready_pod_of_another_workload_with_the_same_labels_heals_nothing():
    others = [pod(f"uid-{number}", name="api-abc") for number in (7, 8)]
    kube = cluster(("ADDED", pod("uid-9", name="api-abc")), found=[pod("uid-1"), pod("uid-2"), *others])
    kube.objects |= web(3, name="api")
    assert await stays(pods.replaced(planned("pod_kill"), await taken(kube)))


COW = {
    "/apis/farm.example/v1": {"resources": [{"name": "kine", "kind": "Cow", "namespaced": True}]},
    "/apis/farm.example/v1/namespaces/shop/kine/elsie": {"metadata": {"uid": "uid-elsie"}, "spec": {}},
}


def of_cow(uid: str, *, ready: bool = True) -> dict[str, Any]:
    item = pod(uid, ready=ready)
    item["metadata"]["ownerReferences"] = reference("Cow", "elsie", "farm.example/v1")
    return item


@pytest.mark.case(
    3, "a custom resource that does not say how many pods it wants", "the next pod is spared until it is back"
)
async def test_a_workload_that_does_not_say_what_it_wants_is_whole_with_as_many_as_it_had():
    herd = [of_cow(f"uid-{number}") for number in (1, 2, 3)]
    kube = FakeKube({f"{PODS}/web-1": herd[0], PODS: herd, **COW}, [("ADDED", of_cow("uid-4", ready=False))])
    there = await taken(kube)
    assert await stays(pods.replaced(planned("pod_kill"), there))
    kube.changes.append(("MODIFIED", of_cow("uid-4")))
    with anyio.fail_after(30):
        found = await pods.replaced(planned("pod_kill"), there)
    assert found == {"owner": "Cow/elsie", "ready": 3, "desired": 3}


@pytest.mark.case(10, "more pods wanted than before", "what is asked for later is no loss")
async def test_what_is_wanted_more_than_there_was_is_not_waited_for():
    there = await taken(cluster(("ADDED", pod("uid-3")), found=[pod("uid-1"), pod("uid-2")], replicas=6))
    with anyio.fail_after(30):
        assert (await pods.replaced(planned("pod_kill"), there))["desired"] == 2


async def test_what_is_wanted_less_than_there_was_is_whole_with_less():
    kube = cluster(found=[pod("uid-1"), pod("uid-2")])
    there = await taken(kube)
    kube.objects |= web(1)
    with anyio.fail_after(30):
        assert await pods.replaced(planned("pod_kill"), there) == {"owner": "Deployment/web", "ready": 1, "desired": 1}


async def test_a_workload_that_was_deleted_meanwhile_wants_nothing():
    kube = cluster(found=[pod("uid-1")])
    there = await taken(kube)
    kube.objects = {PODS: []}
    with anyio.fail_after(30):
        assert await pods.replaced(planned("pod_kill"), there) == {"owner": "Deployment/web", "state": "deleted"}


async def test_what_another_fault_of_the_run_took_counts_as_there_before():
    kube = cluster(found=[pod("uid-1"), pod("uid-2")])
    there = await taken(kube)
    kube.objects[PODS] = [pod("uid-1"), pod("uid-2", going=True)]
    await pods.prepare(planned("pod_kill"), there, FAULTS["pod_kill"].fate)
    assert there.note(planned("pod_kill"))["loss"].before == (2, 2)


async def test_a_pod_that_nobody_owns_is_not_healed_once_it_is_gone():
    with pytest.raises(ObservationFailed, match="nobody replaces it"):
        await pods.replaced(planned("pod_freeze"), reach(FakeKube()))


async def test_a_watch_that_breaks_is_begun_anew(monkeypatch):
    monkeypatch.setattr(observe, "RELIST_SECONDS", 0)
    kube = FakeKube({PODS: [pod()]})
    kube.failures = [ClusterUnreachable("away"), ApiError(410, "Expired", ""), ApiError(503, "Unavailable", "")]

    async def judge(found: observe.Objects) -> int | None:
        return len(found) or None

    assert await observe.until(kube, PODS, judge) == 1  # type: ignore[arg-type]


async def test_a_watch_that_is_forbidden_is_an_error():
    kube = FakeKube()
    kube.failures = [ApiError(403, "Forbidden", "")]

    async def judge(found: observe.Objects) -> int | None:
        return None

    with pytest.raises(ApiError):
        await observe.until(kube, PODS, judge)  # type: ignore[arg-type]


def test_the_first_container_is_chosen_when_none_is_named():
    item = pod()
    item["status"]["containerStatuses"] = [{"name": "web", "state": {"running": {}}, "containerID": "containerd://x"}]
    assert containers.running(item, "")["containerID"] == "containerd://x"
    with pytest.raises(InjectionFailed, match="does not run"):
        containers.running(item, "sidecar")


@pytest.mark.parametrize("pods_left", [[], [pod(going=True)]])
async def test_a_container_of_a_pod_that_somebody_else_deleted_was_not_felt_dead(pods_left):
    there = reach(FakeKube({PODS: pods_left}))
    there.note(planned("container_kill")).update(container="web", id="x", restarts=0)
    with pytest.raises(ObservationFailed, match="went away"), anyio.fail_after(30):
        await FAULTS["container_kill"].felt(planned("container_kill"), there)


def batch(**status: Any) -> dict[str, Any]:
    """Make a Job that has two pods, and what serves it."""
    spec = {"parallelism": 2, "completions": 2, "backoffLimit": 1}
    return {
        "/apis/batch/v1": {"resources": [{"name": "jobs", "kind": "Job", "namespaced": True}]},
        "/apis/batch/v1/namespaces/shop/jobs/x": {"metadata": {"uid": "uid-x"}, "spec": spec, "status": status},
    }


def of_job(uid: str) -> dict[str, Any]:
    item = pod(uid)
    item["metadata"]["ownerReferences"] = reference("Job", "x", "batch/v1")
    return item


@pytest.mark.parametrize(
    ("kind", "message"), [("Failed", "nobody replaces the pod"), ("FailureTarget", "nobody replaces the pod")]
)
async def test_a_pod_whose_job_failed_for_it_is_never_healed(kind: str, message: str) -> None:
    kube = FakeKube({f"{PODS}/web-1": of_job("uid-1"), PODS: [of_job("uid-1"), of_job("uid-2")], **batch()})
    there = reach(kube)
    await pods.prepare(planned("pod_kill"), there, FAULTS["pod_kill"].fate)
    kube.objects |= {PODS: [], **batch(conditions=[{"type": kind, "status": "True", "reason": "BackoffLimitExceeded"}])}
    with anyio.fail_after(30), pytest.raises(ObservationFailed, match=message) as caught:
        await pods.replaced(planned("pod_kill"), there)
    assert "BackoffLimitExceeded" in caught.value.why


async def test_a_job_that_is_done_needs_no_other_pod() -> None:
    kube = FakeKube({f"{PODS}/web-1": of_job("uid-1"), PODS: [of_job("uid-1"), of_job("uid-2")], **batch()})
    there = reach(kube)
    await pods.prepare(planned("pod_kill"), there, FAULTS["pod_kill"].fate)
    kube.objects |= {PODS: [], **batch(conditions=[{"type": "Complete", "status": "True"}])}
    with anyio.fail_after(30):
        assert (await pods.replaced(planned("pod_kill"), there))["desired"] == 0


@pytest.mark.parametrize(("starts", "lost"), [(0, True), (None, False)])
async def test_a_container_of_a_job_that_may_start_no_more_is_not_killed(starts: int | None, lost: bool) -> None:
    item = of_job("uid-1")
    item["spec"]["restartPolicy"] = "Always" if starts is None else "OnFailure"
    item["status"]["containerStatuses"] = [{"name": "web", "restartCount": starts or 0}]
    kube = FakeKube({**batch()})
    why = await pods.lost_for_good(
        reach(kube).owners, item, FAULTS["container_kill"].fate(planned("container_kill"), item)
    )
    assert bool(why) is lost


@pytest.mark.case(10, "fewer pods wanted than before, and none has to go for it", "whole again with what there is")
async def test_a_workload_that_wants_less_while_no_pod_changes_is_whole_again(monkeypatch):
    monkeypatch.setattr(pods, "LOOK_AGAIN_SECONDS", 0.05)
    kube = cluster(found=[pod("uid-1"), pod("uid-2")])
    there = await taken(kube)

    async def scale() -> None:
        await anyio.wait_all_tasks_blocked()
        kube.objects |= web(1)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(scale)
            assert (await pods.replaced(planned("pod_kill"), there))["desired"] == 1


async def test_a_look_that_takes_longer_than_the_next_one_is_due_comes_to_its_end(monkeypatch):
    monkeypatch.setattr(pods, "LOOK_AGAIN_SECONDS", 0.01)
    kube = cluster(found=[pod("uid-1"), pod("uid-2")])
    there = await taken(kube)
    answer = kube.get

    async def slowly(path: str) -> dict[str, Any]:
        await anyio.sleep(0.05)
        return await answer(path)

    monkeypatch.setattr(kube, "get", slowly)
    kube.objects[PODS] = [pod("uid-2"), pod("uid-3")]
    with anyio.fail_after(30):
        assert (await pods.replaced(planned("pod_kill"), there))["ready"] == 2


async def test_a_pod_that_ended_well_is_not_missed_by_an_owner_that_does_not_say_what_it_wants():
    item = {"metadata": {"uid": "uid-x"}, "spec": {}}
    found = [pod(f"uid-{n}", owner="Cow", name="x") for n in (1, 2)]
    for one in found:
        one["metadata"]["ownerReferences"][0]["apiVersion"] = "farm.example/v1"
    served = {"resources": [{"name": "kine", "kind": "Cow", "namespaced": True}]}
    farm = {"/apis/farm.example/v1": served, "/apis/farm.example/v1/namespaces/shop/kine/x": item}
    kube = FakeKube({**farm, f"{PODS}/web-1": found[0], PODS: found})
    there = await taken(kube)
    again = {**found[0], "metadata": {**found[0]["metadata"], "uid": "uid-3"}}
    ended = {**found[1], "status": {"phase": "Succeeded"}}
    kube.objects[PODS] = [again, ended]
    with anyio.fail_after(30):
        assert await pods.replaced(planned("pod_kill"), there) == {"owner": "Cow/x", "ready": 2, "desired": 2}


@pytest.mark.case(12, "a static pod, which its node owns", "not deleted: its kubelet would run on what was to be hit")
@pytest.mark.parametrize(("kind", "vain"), [("pod_kill", True), ("pod_evict", True), ("container_kill", False)])
async def test_the_mirror_of_a_static_pod_is_not_deleted(kind, vain):
    found = await pods.unfit(reach(FakeKube()).owners, mirror(), FAULTS[kind].fate(planned(kind), mirror()))
    assert found == ((pods.STOPS_NOTHING, pods.MIRRORED) if vain else None)


@pytest.mark.case(12, "a static pod that is frozen", "refused: its cgroup does not have the UID of its mirror")
@pytest.mark.parametrize("kind", ["pod_freeze", "pod_latency"])
async def test_the_mirror_of_a_static_pod_is_neither_frozen_nor_cut_off(kind):
    fate = FAULTS[kind].fate(planned(kind), mirror())
    found = await pods.unfit(reach(FakeKube()).owners, mirror(), fate)
    assert found == (pods.HOLDS_NOTHING, pods.ELSEWHERE)


def mirror() -> dict[str, Any]:
    made = pod(owner="Node", name="worker")
    made["metadata"]["annotations"] = {MIRROR: "x"}
    return made
