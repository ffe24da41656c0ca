"""Who replaces a pod, when it is felt gone, and when its workload is whole again."""

from __future__ import annotations

import anyio
import pytest

from harness.errors import ApiError, ClusterUnreachable, InjectionFailed, ObservationFailed
from harness.faults import REGISTRY, observe, pods
from harness.faults.container_kill import choose
from harness.faults.pod_freeze import address
from tests.unit.faults.fakes import PODS, FakeKube, planned, pod, reach, web

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


def test_a_selector_is_written_as_a_query():
    terms = [{"key": "a", "operator": "In", "values": ["1", "2"]}, {"key": "b", "operator": "DoesNotExist"}]
    assert pods.selector_text({"matchLabels": {"app": "web"}, "matchExpressions": terms}) == "app=web,a in (1,2),!b"


def test_a_terminating_pod_is_not_ready():
    assert pods.is_ready(pod())
    assert not pods.is_ready(pod(going=True))
    assert not pods.is_ready(pod(ready=False))


async def test_the_owner_of_a_pod_is_the_topmost_workload():
    owner = await pods.owner_of(FakeKube(web()), pod())  # type: ignore[arg-type]
    assert owner is not None
    assert (str(owner), owner.selector) == ("Deployment/web", "app=web")
    lonely = pod()
    del lonely["metadata"]["ownerReferences"]
    assert await pods.owner_of(FakeKube(web()), lonely) is None  # type: ignore[arg-type]


async def test_a_pod_that_nothing_would_replace_is_not_killed():
    lonely = pod()
    del lonely["metadata"]["ownerReferences"]
    kube = FakeKube({f"{PODS}/web-1": lonely})
    with pytest.raises(InjectionFailed, match="replace"):
        await REGISTRY["pod_kill"].inject(planned("pod_kill"), reach(kube))
    assert kube.deleted == []


async def test_a_kill_is_felt_when_the_pod_goes_and_another_comes():
    kube = FakeKube(
        {PODS: [pod("uid-1"), pod("uid-2")]},
        [("MODIFIED", pod("uid-1", going=True)), ("ADDED", pod("uid-3", ready=False)), ("DELETED", pod("uid-1"))],
    )
    there = reach(kube)
    there.note(planned("pod_kill")).update(before={"uid-1", "uid-2"})
    with anyio.fail_after(5):
        facts = await pods.removed(planned("pod_kill"), there)
    assert facts == {"uid": "uid-1", "state": "terminating", "replacement": "web-uid-3", "replacement_uid": "uid-3"}


async def test_a_kill_is_not_felt_while_the_pod_stays():
    kube = FakeKube({PODS: [pod("uid-1")]}, [("ADDED", pod("uid-3"))])
    with anyio.move_on_after(0.1) as scope:
        await pods.removed(planned("pod_kill"), reach(kube))
    assert scope.cancelled_caught


async def test_a_workload_is_complete_only_without_the_pod_that_was_killed():
    kube = FakeKube({**web(), PODS: [pod("uid-1"), pod("uid-2")]}, [("ADDED", pod("uid-3"))])
    there = reach(kube)
    owner = await pods.owner_of(there.kube, pod())
    there.note(planned("pod_kill")).update(owner=owner)
    with anyio.fail_after(5):
        facts = await pods.replaced(planned("pod_kill"), there)
    assert facts == {"owner": "Deployment/web", "ready": 2, "desired": 2}


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
    assert choose(item, "")["containerID"] == "containerd://x"
    with pytest.raises(InjectionFailed, match="does not run"):
        choose(item, "sidecar")


def test_a_pod_is_asked_at_its_first_tcp_port():
    item = pod()
    item["status"]["podIP"] = "192.0.2.1"
    assert address(item) == ""
    item["spec"]["containers"][0]["ports"] = [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 80}]
    assert address(item) == "http://192.0.2.1:80/"
    item["status"]["podIP"] = "2001:db8::1"
    assert address(item) == "http://[2001:db8::1]:80/"


@pytest.mark.parametrize("pods_left", [[], [pod(going=True)]])
async def test_a_container_of_a_pod_that_somebody_else_deleted_was_not_felt_dead(pods_left):
    there = reach(FakeKube({PODS: pods_left}))
    there.note(planned("container_kill")).update(container="web", id="x", restarts=0)
    with pytest.raises(ObservationFailed, match="went away"), anyio.fail_after(5):
        await REGISTRY["container_kill"].felt(planned("container_kill"), there)


@pytest.mark.parametrize("there_is", [{}, {f"{PODS}/web-1": pod(going=True, ready=False)}])
async def test_a_pod_that_somebody_else_deleted_was_not_felt_frozen(there_is):
    there = reach(FakeKube(there_is))
    there.note(planned("pod_freeze"))["ready"] = True
    with pytest.raises(ObservationFailed, match="went away"), anyio.fail_after(5):
        await REGISTRY["pod_freeze"].felt(planned("pod_freeze"), there)
