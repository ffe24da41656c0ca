"""A release that cannot start is rolled out and taken back: only where it still is, and nothing of it stays."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ApiError, InjectionFailed, UndoFailed
from harness.faults import FAULTS
from harness.model.plan import Victim
from harness.targets import objects
from harness.targets import rollout as targets
from harness.targets.reach import Reach
from tests.unit.faults.recorded import elsewhere, injected
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import (
    APPS,
    ON_ROLLOUT,
    PODS,
    ROLLOUT,
    VICTIM,
    WEB,
    planned,
    rollout,
    template,
    web,
)

pytestmark = pytest.mark.anyio
KIND = FAULTS["workload_bad_rollout"]
BAD = "chaos.invalid/run-1:none"
DB = f"{APPS}/statefulsets/db"


def container(server: Server, path: str = WEB) -> dict[str, Any]:
    found: dict[str, Any] = server.objects[path]["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("fails", ["image-pull", "crash-loop"])
@pytest.mark.parametrize("before", [{}, {"command": ["serve"], "args": ["x"]}])
async def test_the_template_comes_back_as_it_was(fails: str, before: dict[str, Any]) -> None:
    server = Server(web(template=template(**before)))
    found, fault = dict(container(server)), planned("workload_bad_rollout", fails=fails)
    reach = await injected(server, fault)
    bad = {"image-pull": {"image": BAD}, "crash-loop": {"command": [f"/{BAD}"]}}[fails]
    assert container(server) == {**found, **bad}
    for _ in range(2):
        assert await elsewhere(server, reach, fault) == []
    assert container(server) == found


async def test_an_image_that_a_webhook_rewrites_is_taken_back_and_refused() -> None:
    def mirrored(item: dict[str, Any]) -> None:
        one = item["spec"]["template"]["spec"]["containers"][0]
        one["image"] = f"mirror/{one['image']}" if one["image"] == BAD else one["image"]

    server, fault = Server(web()), planned("workload_bad_rollout")
    server.webhook = mirrored
    with pytest.raises(InjectionFailed, match="rewritten on its way") as refused:
        await injected(server, fault)
    assert "taken back" in refused.value.why
    assert container(server)["image"] == "web:1"


async def test_what_cannot_be_taken_back_is_told_of() -> None:
    server, fault = Server(web()), planned("workload_bad_rollout")

    def kept(item: dict[str, Any]) -> None:
        item["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror/web:1"
        server.refuses["PATCH"] = ApiError(403, "Forbidden", "no")

    server.webhook = kept
    with pytest.raises(InjectionFailed, match="rewritten on its way") as refused:
        await injected(server, fault)
    assert "403 Forbidden" in refused.value.why


async def test_a_release_that_somebody_rolled_out_meanwhile_stays() -> None:
    server, fault = Server(web()), planned("workload_bad_rollout")
    reach = await injected(server, fault)
    container(server)["image"] = "web:2"
    (left,) = await elsewhere(server, reach, fault)
    assert container(server)["image"] == "web:2"
    assert '"web:2"' in left


async def test_what_somebody_else_changed_beside_it_stays() -> None:
    server, fault = Server(web()), planned("workload_bad_rollout")
    reach = await injected(server, fault)
    container(server)["env"] = [{"name": "A", "value": "b"}]
    assert await elsewhere(server, reach, fault) == []
    assert container(server) == {"name": "web", "image": "web:1", "env": [{"name": "A", "value": "b"}]}


async def test_what_has_moved_within_the_template_is_not_taken_for_gone() -> None:
    server, fault = Server(web()), planned("workload_bad_rollout")
    reach = await injected(server, fault)
    server.objects[WEB]["spec"]["template"]["spec"]["containers"].insert(0, {"name": "proxy", "image": "proxy:1"})
    with pytest.raises(UndoFailed, match="has moved"):
        await elsewhere(server, reach, fault)


async def test_the_bad_release_goes_and_no_other() -> None:
    server, fault = Server(web()), planned("workload_bad_rollout")
    reach = await injected(server, fault)
    server.objects[f"{APPS}/replicasets/web-bad"] = {
        "metadata": {"name": "web-bad"},
        "spec": {"template": template(BAD)},
    }
    await elsewhere(server, reach, fault)
    assert {path for path in server.objects if "replicasets" in path} == {f"{APPS}/replicasets/web-abc"}


async def test_a_stateful_set_loses_the_pods_that_its_controller_would_wait_for() -> None:
    whole = {"kind": "StatefulSet", "metadata": {"uid": "uid-db", "resourceVersion": "1"}}
    server = Server({DB: {**whole, "spec": {"replicas": 2, "template": template()}}})
    victim = Victim("workload", "db", "uid-db", "shop", owner="StatefulSet/db", container="web", path=DB)
    fault = planned("workload_bad_rollout", victim)
    reach = await injected(server, fault)
    for name, image in (("db-0", "web:1"), ("db-1", BAD)):
        server.objects[f"{PODS}/{name}"] = {"metadata": {"name": name}, "spec": template(image)["spec"]}
    await elsewhere(server, reach, fault)
    assert [path for path in server.objects if path.startswith(PODS)] == [f"{PODS}/db-0"]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"waiting": {"reason": "ImagePullBackOff"}}, "ImagePullBackOff"),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "CrashLoopBackOff"),
        ({"terminated": {"reason": "StartError", "exitCode": 128}}, "StartError"),
    ],
)
async def test_it_is_felt_when_the_kubelet_says_why_a_new_pod_does_not_start(
    state: dict[str, Any], reason: str
) -> None:
    server, fault = Server(web()), planned("workload_bad_rollout")
    reach = await injected(server, fault)
    bad = {"metadata": {"name": "web-new", "uid": "new"}, "spec": template(BAD)["spec"]}
    server.objects[f"{PODS}/web-new"] = {**bad, "status": {"containerStatuses": [{"name": "web", "state": state}]}}
    assert await KIND.felt(fault, reach) == {"pod": "web-new", "reason": reason}


async def test_nothing_is_rolled_out_over_what_somebody_has_just_changed() -> None:
    server, fault = Server(web()), planned("workload_bad_rollout")
    reach = Reach(server)  # type: ignore[arg-type]
    assert KIND.prepare
    await KIND.prepare(fault, reach)
    container(server)["image"] = "web:2"
    with pytest.raises(InjectionFailed, match="not what it was"):
        await KIND.inject(fault, reach)
    assert container(server)["image"] == "web:2"


@pytest.mark.parametrize("kind", ["workload_bad_rollout", "workload_release"])
@pytest.mark.parametrize(
    "status", [{"abort": True, "phase": "Degraded"}, {"currentPodHash": "def"}, {"observedGeneration": "3"}]
)
async def test_nothing_is_rolled_out_over_a_release_that_is_not_promoted(
    kind: str, status: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "SEEN_SECONDS", 0.0)
    server = Server(web())
    server.objects[ROLLOUT] = rollout()
    fault, reach = planned(kind, ON_ROLLOUT), Reach(server)  # type: ignore[arg-type]
    unfit, prepare = FAULTS[kind].unfit, FAULTS[kind].prepare
    assert unfit
    assert prepare
    assert unfit({}, rollout(), ON_ROLLOUT) is None
    found = unfit({}, unpromoted := rollout(**status), ON_ROLLOUT)
    assert found
    assert "start that one again" in found.why
    server.objects[ROLLOUT] = unpromoted
    with pytest.raises(InjectionFailed, match="start that one again"):
        await prepare(fault, reach)


async def test_a_rollout_whose_controller_has_not_seen_the_last_undo_yet_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, unseen = Server(web()), rollout(observedGeneration="3")
    server.objects[ROLLOUT] = rollout()
    looks = iter([unseen, unseen])
    get = server.get

    async def slow(path: str, **more: Any) -> dict[str, Any]:
        return next(looks, None) or await get(path, **more) if path == ROLLOUT else await get(path, **more)

    monkeypatch.setattr(server, "get", slow)
    monkeypatch.setattr(objects, "PAUSE_SECONDS", 0.0)
    await injected(server, planned("workload_bad_rollout", ON_ROLLOUT))
    assert container(server, ROLLOUT)["image"] == BAD


ROLLING = {"type": "RollingUpdate"}


@pytest.mark.parametrize(
    ("kind", "spec", "there", "go"),
    [
        ("Deployment", {"replicas": 5}, 5, 1),
        ("Deployment", {"replicas": 2}, 2, 0),
        ("Deployment", {"replicas": 8, "strategy": ROLLING | {"rollingUpdate": {"maxUnavailable": "30%"}}}, 8, 2),
        ("Deployment", {"replicas": 4, "strategy": ROLLING | {"rollingUpdate": {"maxUnavailable": 3}}}, 4, 3),
        (
            "Deployment",
            {"replicas": 3, "strategy": ROLLING | {"rollingUpdate": {"maxUnavailable": "10%", "maxSurge": 0}}},
            3,
            1,
        ),
        ("Deployment", {"replicas": 3, "strategy": {"type": "Recreate"}}, 3, 3),
        ("StatefulSet", {"replicas": 3}, 3, 1),
        ("StatefulSet", {"replicas": 3, "updateStrategy": ROLLING | {"rollingUpdate": {"partition": 2}}}, 3, 1),
        ("DaemonSet", {}, 4, 1),
        ("DaemonSet", {"updateStrategy": ROLLING | {"rollingUpdate": {"maxUnavailable": "26%"}}}, 4, 2),
        ("DaemonSet", {"updateStrategy": ROLLING | {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}, 4, 0),
    ],
)
def test_as_many_pods_are_counted_as_the_rollout_lets_go(kind: str, spec: Any, there: int, go: int) -> None:
    assert KIND.most
    assert KIND.most({}, {"kind": kind, "spec": spec}, there) == go


@pytest.mark.parametrize(
    ("kind", "spec", "why"),
    [
        ("Deployment", {"paused": True}, "paused"),
        ("StatefulSet", {"replicas": 2, "updateStrategy": {"type": "OnDelete"}}, "OnDelete"),
        ("StatefulSet", {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 2}}}, "partition 2"),
        ("Job", {}, "not known here"),
    ],
)
def test_what_would_roll_out_nothing_is_unfit(kind: str, spec: Any, why: str) -> None:
    assert KIND.unfit
    found = KIND.unfit({}, {"kind": kind, "spec": spec}, VICTIM)
    assert found
    assert why in found.why
    assert KIND.unfit({}, {"kind": "Deployment", "spec": {"template": template()}}, VICTIM) is None
