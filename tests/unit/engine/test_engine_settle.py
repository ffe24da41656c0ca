"""A run waits until the system is steady, says for what, and where that is in vain it never begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.checkers import breaker
from harness.engine.watching import metrics, settle
from harness.errors import ApiError, ClusterUnreachable, NeverBegun
from harness.model.load import Call, LoadSpec
from harness.model.objective import Objective
from harness.targets.reach import Reach
from tests.unit.engine.looked_at import Cluster, ago, deployment, pod

pytestmark = pytest.mark.anyio


def ready_set(name: str, **status: int) -> dict[str, Any]:
    found = {"metadata": {"name": name, "generation": 1}, "spec": {"replicas": 3}}
    return found | {"status": {"observedGeneration": 1, **status}}


def rolling(name: str, kind: str = "RollingUpdate", partition: int = 0, **status: int) -> dict[str, Any]:
    """Make a workload of three pods, all ready, of which some are of an older release."""
    found = ready_set(name, readyReplicas=3, desiredNumberScheduled=3, numberReady=3, **status)
    found["status"] |= {"updateRevision": "b", "currentRevision": "a"}
    found["spec"] = {"replicas": 3, "updateStrategy": {"type": kind, "rollingUpdate": {"partition": partition}}}
    return found


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"shop_deployments": [deployment("cart")]}, []),
        ({"shop_deployments": [deployment("cart", 1)]}, ["shop/cart has 1 of 2 pods available"]),
        ({"mesh_deployments": [deployment("gateway", 0)]}, ["mesh/gateway has 0 of 2 pods available"]),
        ({"shop_deployments": [deployment("cart", observedGeneration=0)]}, ["shop/cart is not known yet"]),
        ({"shop_deployments": [deployment("cart", updatedReplicas=1)]}, ["shop/cart is rolling out, 1 to go"]),
        ({"shop_deployments": [deployment("cart", replicas=3)]}, ["shop/cart is rolling out, 1 to go"]),
        ({"shop_statefulsets": [ready_set("db", readyReplicas=2)]}, ["shop/db has 2 of 3 pods ready"]),
        (
            {"shop_daemonsets": [ready_set("log", desiredNumberScheduled=4, numberReady=3)]},
            ["shop/log has 3 of 4 pods ready"],
        ),
        # It stays where it stands: nobody moves it.
        ({"shop_deployments": [deployment("cart", updatedReplicas=1) | {"spec": {"replicas": 2, "paused": True}}]}, []),
        ({"shop_statefulsets": [rolling("db", updatedReplicas=1)]}, ["shop/db is rolling out, 2 to go"]),
        ({"shop_statefulsets": [rolling("db", updatedReplicas=1, partition=2)]}, []),
        ({"shop_statefulsets": [rolling("db", kind="OnDelete", updatedReplicas=0)]}, []),
        ({"shop_daemonsets": [rolling("log", updatedNumberScheduled=1)]}, ["shop/log is rolling out, 2 to go"]),
        ({"shop_daemonsets": [rolling("log", kind="OnDelete")]}, []),
        ({"shop_pods": [pod("cart-1", deletionTimestamp=ago(-86_400))]}, ["shop/cart-1 is terminating"]),
        # Something that nobody takes away holds it, and has for long.
        ({"shop_pods": [pod("cart-1", deletionTimestamp=ago(90))]}, []),
        (
            {"shop_pods": [pod("cart-1", waiting="CrashLoopBackOff")]},
            ["shop/cart-1 waits for the kubelet's back-off (web)"],
        ),
        ({"mesh_pods": [pod("gateway-1", deletionTimestamp=ago(0))]}, []),
        ({"shop_deployments": ClusterUnreachable("nobody answers")}, ["nobody answers"]),
    ],
)
async def test_what_keeps_the_system_from_its_steady_state_is_named(told, lists: dict[str, Any], said: list[str]):
    assert await told(Cluster(**lists)) == said


async def test_a_pod_that_is_a_little_late_to_go_is_still_on_its_way(told):
    assert await told(Cluster(shop_pods=[pod("cart-1", deletionTimestamp=ago(20))])) == ["shop/cart-1 is terminating"]


async def test_what_an_earlier_run_left_is_waited_for(told, monkeypatch):
    async def left(*_: Any) -> list[Any]:
        return [{"metadata": {"name": "f-1"}}]

    monkeypatch.setattr("harness.resources.resource.list_all", left)
    (said,) = await told(Cluster())
    assert "an earlier run left something broken (f-1;" in said


async def test_a_look_that_is_forbidden_is_not_waited_for(told):
    with pytest.raises(NeverBegun, match="nobody may look"):
        await told(Cluster(shop_pods=ApiError(403, "Forbidden", "pods is forbidden")))


class Owned(Cluster):
    """A cluster whose pods belong to what a test puts there, by name."""

    def __init__(self, owners: dict[str, dict[str, Any]], **lists: Any) -> None:
        super().__init__(**lists)
        self.owners = owners

    async def get(self, path: str) -> dict[str, Any]:
        root, _, name = path.rpartition("/")
        if root in ("/apis/farm.example", "/api", "/apis/apps", "/apis/argoproj.io"):
            kinds = {"farm.example": ("kine", "Cow"), "apps": ("deployments", "Deployment")}
            kinds |= {"argoproj.io": ("rollouts", "Rollout")}
            plural, kind = next(
                (kinds[key] for key in kinds if key in root), ("replicationcontrollers", "ReplicationController")
            )
            return {"resources": [{"name": plural, "kind": kind, "namespaced": True}]}
        return self.owners.get(name) or await super().get(path)


def owned(name: str, kind: str, api: str, *, ready: bool, since: float = 0) -> dict[str, Any]:
    """Make a pod of a workload `x`, which has been on its node for so many seconds."""
    started = (datetime.now(UTC) - timedelta(seconds=since)).isoformat()
    made = pod(name)
    reference = {"apiVersion": api, "kind": kind, "name": "x", "uid": "uid-x", "controller": True}
    made["metadata"] |= {"uid": f"uid-{name}", "namespace": "shop", "ownerReferences": [reference]}
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": started}
    made["status"] |= {"startTime": started, "conditions": [condition]}
    return made


CONTROLLER = {"metadata": {"uid": "uid-x", "generation": 1}, "spec": {"replicas": 2}}
COW = {"metadata": {"uid": "uid-x", "generation": 1}, "status": {"pods": 3}}
TIMED, UNTIMED = [{"pause": {"duration": "6s"}}], [{"pause": {}}]
ARGO = "argoproj.io/v1alpha1"
MANUAL_AFTER_ALL = {"autoPromotionEnabled": False, "autoPromotionSeconds": 30}


def rollout(phase: str, steps: Any = TIMED, *, strategy: Any = None, **status: Any) -> dict[str, Any]:
    """Make a Rollout of two pods in a phase."""
    spec = {"replicas": 2, "strategy": strategy or {"canary": {"steps": steps}}}
    told = {"observedGeneration": "1", "phase": phase, "currentStepIndex": 0, **status}
    return {"metadata": {"uid": "uid-x", "generation": 1}, "spec": spec, "status": told}


def paused(*reasons: str, steps: Any = TIMED, blue_green: Any = None) -> dict[str, Any]:
    """Make a Rollout whose release stands still, for these reasons of its controller."""
    why = [{"reason": reason, "startTime": ago(1)} for reason in reasons]
    more = {"pauseConditions": why, "stableRS": "old", "currentPodHash": "new"}
    return rollout("Paused", steps, strategy=blue_green and {"blueGreen": blue_green}, **more)


@pytest.mark.parametrize(
    ("kind", "api", "owner", "ready", "said"),
    [
        ("ReplicationController", "v1", CONTROLLER, [True, True], []),
        ("ReplicationController", "v1", CONTROLLER, [True], ["shop/ReplicationController/x has 1 of 2 pods ready"]),
        ("Cow", "farm.example/v1", COW, [True, True, True], []),
        ("Cow", "farm.example/v1", COW, [True, True], ["shop/Cow/x has 2 of 3 pods ready"]),
        ("Cow", "farm.example/v1", {**COW, "status": {}}, [True, True], []),
        ("Cow", "farm.example/v1", {**COW, "status": {}}, [True, False], ["shop/Cow/x has 1 of 2 pods ready"]),
        ("Rollout", ARGO, rollout("Healthy"), [True, True], []),
        ("Rollout", ARGO, rollout("Healthy"), [True], ["shop/Rollout/x has 1 of 2 pods ready"]),
        ("Rollout", ARGO, rollout("Progressing"), [True] * 3, ["shop/Rollout/x is releasing"]),
        ("Rollout", ARGO, paused("CanaryPauseStep"), [True] * 3, ["shop/Rollout/x is releasing"]),
        # Nobody moves it.
        ("Rollout", ARGO, paused("CanaryPauseStep", steps=UNTIMED), [True] * 3, []),
        ("Rollout", ARGO, paused("InconclusiveAnalysisRun", steps=[{"analysis": {}}]), [True] * 3, []),
        ("Rollout", ARGO, paused("CanaryPauseStep", "InconclusiveAnalysisRun"), [True] * 3, []),
        ("Rollout", ARGO, rollout("Degraded", abort=True), [True, True], []),
        ("Rollout", ARGO, rollout("Degraded", message="ProgressDeadlineExceeded: ..."), [True, True], []),
        (
            "Rollout",
            ARGO,
            rollout("Degraded", message="InvalidSpec: ..."),
            [True],
            ["shop/Rollout/x has 1 of 2 pods ready"],
        ),
        # A person has to promote it, or it does so by itself.
        ("Rollout", ARGO, paused("BlueGreenPause", blue_green={"autoPromotionEnabled": False}), [True] * 4, []),
        ("Rollout", ARGO, paused("BlueGreenPause", blue_green=MANUAL_AFTER_ALL), [True] * 4, []),
        (
            *("Rollout", ARGO, paused("BlueGreenPause", blue_green={"autoPromotionSeconds": 30}), [True] * 4),
            ["shop/Rollout/x is releasing"],
        ),
    ],
)
async def test_workloads_of_any_kind_are_waited_for(told, session, kind, api, owner, ready, said):
    found = [owned(f"x-{number}", kind, api, ready=one) for number, one in enumerate(ready)]
    session.kube = Owned({"x": owner}, shop_pods=found)
    session.reach = Reach(session.kube)
    assert await told(session.kube) == said


@pytest.mark.case(9, "a pod that was never Ready", "the system's own state: a run begins beside it")
@pytest.mark.parametrize(("since", "said"), [(90, []), (20, ["shop/x has 1 of 2 pods available"])])
async def test_a_pod_that_was_never_ready_for_a_minute_keeps_no_run_from_beginning(told, session, since, said):
    made = deployment("x", 1)
    made["metadata"]["uid"] = "uid-x"
    found = [
        owned("x-1", "Deployment", "apps/v1", ready=True),
        owned("x-2", "Deployment", "apps/v1", ready=False, since=since),
    ]
    session.kube = Owned({"x": made}, shop_deployments=[made], shop_pods=found)
    session.reach = Reach(session.kube)
    assert await told(session.kube) == said


@pytest.mark.parametrize(
    ("newest", "since", "said"),
    [
        ("old", 90, []),
        ("old", 20, ["shop/Rollout/x is releasing"]),
        # Its controller still decides on this one, at its deadline at the latest.
        ("new", 90, ["shop/Rollout/x is releasing"]),
    ],
)
async def test_a_pod_that_stands_so_keeps_no_run_from_beginning_though_its_rollout_never_gets_healthy(
    told, session, newest, since, said
):
    found = [
        owned("x-1", "Rollout", ARGO, ready=True),
        owned("x-2", "Rollout", ARGO, ready=False, since=since),
    ]
    made = rollout("Progressing", stableRS="old", currentPodHash=newest)
    session.kube = Owned({"x": made}, shop_pods=found)
    session.reach = Reach(session.kube)
    assert await told(session.kube) == said


@pytest.mark.case(9, "a container that never came up", "the system's own state: a run begins beside its back-off")
@pytest.mark.parametrize(("since", "waits"), [(90, False), (20, True)])
async def test_a_back_off_of_a_pod_that_was_never_ready_keeps_no_run_from_beginning(told, session, since, waits):
    crashing = owned("x-1", "Deployment", "apps/v1", ready=False, since=since)
    crashing["status"]["containerStatuses"] = pod("x-1", waiting="CrashLoopBackOff")["status"]["containerStatuses"]
    session.kube = Owned({"x": {"metadata": {"uid": "uid-x"}, "spec": {"replicas": 1}}}, shop_pods=[crashing])
    session.reach = Reach(session.kube)
    said = await told(session.kube)
    assert any("back-off" in one for one in said) is waits


@pytest.fixture
def series(session, monkeypatch):
    """Answer the queries of a run that has a load with what a test says."""
    answers: dict[str, Any] = {}

    async def vector(query: str, _: Any) -> list[dict[str, Any]] | None:
        return answers.get(query, [])

    monkeypatch.setattr(metrics, "vector", vector)
    session.load = object()
    session.experiment = replace(session.experiment, load=LoadSpec("here", 1.0, calls=(Call("read", "/carts"),)))
    session.load_from = session.journal.now()
    return answers


OPEN = [{"metric": {"pod": "o-1", "dependency": "router"}, "value": [0, "2"]}]


async def test_a_breaker_that_is_open_and_a_host_that_is_ejected_are_waited_for(told, series):
    series[breaker.OBJECTIVE.steady_when_none], series[settle.EJECTED] = OPEN, [{"metric": {}, "value": [0, "2"]}]
    assert await told(Cluster()) == [
        "1 of the callers' breakers towards router not closed",
        "the gateway ejects 2 hosts",
    ]


@pytest.mark.parametrize(
    ("urls", "objectives", "waits"),
    [
        (["http://shop.example/carts"], [], False),
        (["http://shop.example/carts", "/carts"], [], True),
        (["http://127.0.0.1:18090/carts"], [], True),
        (["http://127.0.0.1:18090/carts/${n}"], [], True),
        (["http://127.0.0.1:18091/carts"], [], False),
        (["http://shop.example/carts"], ["availability"], False),
        (["http://shop.example/carts"], ["burn-rate"], True),
    ],
)
async def test_a_host_that_is_ejected_is_waited_for_where_the_load_could_meet_it(
    told, series, session, monkeypatch, urls: list[str], objectives: list[str], waits: bool
):
    monkeypatch.setenv("HARNESS_GATEWAY", "http://127.0.0.1:18090")
    load = LoadSpec("here", 1.0, calls=tuple(Call(url, url) for url in urls))
    promised = tuple(Objective(name, {}) for name in objectives)
    session.experiment = replace(session.experiment, load=load, objectives=promised)
    series[settle.EJECTED] = [{"metric": {}, "value": [0, "1"]}]
    assert await told(Cluster()) == (["the gateway ejects 1 host"] if waits else [])


@pytest.mark.parametrize(("asked", "waits"), [(OPEN, 1), ([], 0)])
async def test_an_open_breaker_that_the_load_does_not_meet_is_none_of_this_run(told, series, session, asked, waits):
    series[breaker.OBJECTIVE.steady_when_none], series[settle.ASKED] = OPEN, asked
    session.load_from = session.journal.now() - settle.ASKED_SECONDS - 1
    assert len(await told(Cluster())) == waits


async def test_a_breaker_that_nobody_asked_while_its_caller_was_ejected_is_met_once_it_is_back(told, series, session):
    series[breaker.OBJECTIVE.steady_when_none] = OPEN
    session.load_from = session.journal.now() - settle.ASKED_SECONDS - 1
    series[settle.EJECTED] = [{"metric": {}, "value": [0, "1"]}]
    assert len(await told(Cluster())) == 2
    series[settle.EJECTED] = []
    assert await told(Cluster()) == ["1 of the callers' breakers towards router not closed"]
