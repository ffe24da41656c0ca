"""A release is started and taken back: the template is as it was, whoever undoes it and however often."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from harness.errors import AbortTriggered, InjectionFailed, UndoFailed
from harness.faults import FAULTS
from harness.faults.workload_release import RELEASE
from harness.model.fault import Target
from harness.model.plan import Victim
from harness.targets.reach import Reach
from harness.workloads.releases import RELEASE as HASH
from tests.unit.faults.recorded import elsewhere, injected
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import APPS, ON_ROLLOUT, PODS, ROLLOUT, VICTIM, WEB, planned, rollout, template, web

pytestmark = pytest.mark.anyio
KIND = FAULTS["workload_release"]
DB = f"{APPS}/statefulsets/db"


def of(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.objects[WEB]["spec"]["template"]
    return found


@pytest.mark.parametrize("env", [None, [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {}}}]])
@pytest.mark.parametrize("notes", [{}, {"scrape": "yes"}])
@pytest.mark.parametrize("parameters", [{}, {"image": "web:2"}, {"env": ["A=2", "C=x=y", "D="]}])
async def test_the_template_comes_back_as_it_was(env: Any, notes: dict[str, str], parameters: dict[str, Any]) -> None:
    server = Server(web(template=template(**({"env": env} if env else {}))))
    if notes:
        of(server)["metadata"]["annotations"] = notes
    before, fault = copy.deepcopy(of(server)), planned("workload_release", **parameters)
    reach = await injected(server, fault)
    container = of(server)["spec"]["containers"][0]
    assert of(server)["metadata"]["annotations"] == {**notes, RELEASE: "release-run-1"}
    assert container["image"] == parameters.get("image", "web:1")
    settings = {one["name"]: one.get("value") for one in container.get("env", ())}
    assert settings.items() >= ({"A": "2", "C": "x=y"} if "env" in parameters else {}).items()
    assert ("B" in settings) is bool(env)
    for _ in range(2):
        assert await elsewhere(server, reach, fault) == []
    assert of(server) == before


async def test_a_release_that_somebody_made_meanwhile_is_not_overwritten() -> None:
    server, fault = Server(web()), planned("workload_release", image="web:2")
    reach = await injected(server, fault)
    server.objects[WEB]["spec"]["template"] = template("web:3")
    (left,) = await elsewhere(server, reach, fault)
    assert of(server) == template("web:3")
    assert "somebody else set" in left


@pytest.mark.parametrize("notes", [{}, {"scrape": "yes"}])
async def test_a_note_that_somebody_made_meanwhile_stays_and_the_release_goes(notes: dict[str, str]) -> None:
    server, fault = Server(web()), planned("workload_release", image="web:2")
    of(server)["metadata"] |= {"annotations": notes} if notes else {}
    reach = await injected(server, fault)
    of(server)["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "now"
    for _ in range(2):
        assert await elsewhere(server, reach, fault) == []
    assert of(server)["metadata"]["annotations"] == {**notes, "kubectl.kubernetes.io/restartedAt": "now"}
    assert of(server)["spec"] == template()["spec"]


async def test_notes_that_somebody_made_before_the_release_are_not_overwritten() -> None:
    server, fault = Server(web()), planned("workload_release")
    reach = Reach(server)  # type: ignore[arg-type]
    assert KIND.prepare
    await KIND.prepare(fault, reach)
    of(server)["metadata"]["annotations"] = {"scrape": "yes"}
    with pytest.raises(InjectionFailed, match="not what it was"):
        await KIND.inject(fault, reach)
    assert of(server)["metadata"]["annotations"] == {"scrape": "yes"}


async def test_a_release_that_is_half_somebody_else_s_is_told_of() -> None:
    server, fault = Server(web()), planned("workload_release", image="web:2")
    reach = await injected(server, fault)
    of(server)["spec"]["containers"][0]["image"] = "web:3"
    with pytest.raises(UndoFailed, match="changed by somebody else"):
        await elsewhere(server, reach, fault)


async def test_a_stateful_set_loses_the_pods_of_the_release_that_it_would_wait_for_and_no_other() -> None:
    whole = {"kind": "StatefulSet", "metadata": {"uid": "uid-db", "resourceVersion": "1"}}
    server = Server({DB: {**whole, "spec": {"replicas": 2, "template": template()}}})
    victim = Victim("workload", "db", "uid-db", "shop", owner="StatefulSet/db", container="web", path=DB)
    fault = planned("workload_release", victim)
    reach = await injected(server, fault)
    for name, release, ready in (
        ("db-0", "", "True"),
        ("db-1", "", "False"),
        ("db-2", "release-run-1", "True"),
        ("db-3", "release-run-1", "False"),
        ("db-4", "release-run-12", "False"),
    ):
        metadata = {"name": name, "annotations": {RELEASE: release}}
        status = {"conditions": [{"type": "Ready", "status": ready}]}
        server.objects[f"{PODS}/{name}"] = {"metadata": metadata, "spec": {}, "status": status}
    for _ in range(2):
        assert await elsewhere(server, reach, fault) == []
    left = {path.rpartition("/")[2] for path in server.objects if path.startswith(PODS)}
    assert left == {"db-0", "db-1", "db-2", "db-4"}


async def test_a_rollout_is_released_as_a_deployment_is() -> None:
    server = Server(web())
    server.objects[ROLLOUT] = rollout()
    fault = planned("workload_release", ON_ROLLOUT)
    reach = await injected(server, fault)
    assert RELEASE in server.objects[ROLLOUT]["spec"]["template"]["metadata"]["annotations"]
    for _ in range(2):
        assert await elsewhere(server, reach, fault) == []
    found = server.objects[ROLLOUT]["spec"]["template"]
    assert found["metadata"].pop("annotations") == {}  # which is none to the controller's hash
    assert found == template()


UNTIMED = {"canary": {"steps": [{"setWeight": 10}, {"pause": {}}, {"setWeight": 100}]}}
TIMED = {"canary": {"steps": [{"setWeight": 10}, {"pause": {"duration": "6s"}}, {"analysis": {}}]}}
BY_HAND = {"blueGreen": {"activeService": "web", "autoPromotionEnabled": False}}
BY_ITSELF = {"blueGreen": {"activeService": "web", "autoPromotionSeconds": 30}}
WINDOW = {"rollbackWindow": {"revisions": 3}}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"strategy": UNTIMED}, "its step 2 pauses until a person lets it go on"),
        ({"strategy": {"canary": {"steps": [{"pause": None}]}}}, "its step 1 pauses"),
        ({"strategy": UNTIMED, "rollbackWindow": {}}, "its step 2 pauses"),
        ({"strategy": UNTIMED, **WINDOW, "revisionHistoryLimit": 0}, "its step 2 pauses"),
        ({"strategy": BY_HAND}, "has a person promote it"),
        ({"strategy": BY_HAND, **WINDOW}, "no rollbackWindow helps a blue-green one"),
        ({"strategy": UNTIMED, **WINDOW}, ""),
        ({"strategy": TIMED}, ""),
        ({"strategy": BY_ITSELF}, ""),
    ],
)
async def test_a_rollout_that_would_wait_for_a_person_on_its_way_back_is_refused(spec: Any, why: str) -> None:
    server, fault = Server(web()), planned("workload_release", ON_ROLLOUT)
    server.objects[ROLLOUT] = rollout(spec)
    assert KIND.unfit
    assert KIND.prepare
    found = KIND.unfit({}, rollout(spec), ON_ROLLOUT)
    assert bool(found) is bool(why)
    if found:
        assert why in found.why
        assert found.what == "Rollout/web would not come back by itself from a release that is promoted"
        with pytest.raises(InjectionFailed, match="would not come back by itself"):
            await KIND.prepare(fault, Reach(server))  # type: ignore[arg-type]


SETS = f"{APPS}/replicasets"


def made(server: Server, name: str, minute: int, *, mark: str = "", replicas: int = 0, owner: str = "web") -> None:
    """Have a Rollout's ReplicaSet there, younger than that of its stable release."""
    found = copy.deepcopy(server.objects[f"{SETS}/web-abc"])
    found["metadata"] |= {"name": name, "uid": f"uid-{name}", "labels": {HASH: name}, "resourceVersion": "1"}
    found["metadata"] |= {"creationTimestamp": f"2026-11-01T10:{minute:02}:00Z"}
    found["metadata"]["ownerReferences"][0] |= {"kind": "Rollout", "uid": f"uid-{owner}"}
    found["spec"]["template"]["metadata"]["annotations"] = {RELEASE: mark} if mark else {}
    found["spec"]["replicas"], found["status"] = replicas, {"replicas": replicas}
    server.objects[f"{SETS}/{name}"] = found


async def test_what_earlier_releases_left_of_a_rollout_goes_before_the_next_and_nothing_else() -> None:
    server, fault = Server(web()), planned("workload_release", ON_ROLLOUT)
    server.objects[ROLLOUT] = rollout(stableRS="stable", currentPodHash="stable")
    made(server, "stable", 1, mark="release-of-yesterday")
    made(server, "left", 2, mark="release-1")
    made(server, "served", 3, mark="release-2", replicas=1)
    made(server, "theirs", 4)
    made(server, "another", 5, mark="release-3", owner="other")
    before = {*server.objects}
    await injected(server, fault)
    assert before - {*server.objects} == {f"{SETS}/left"}


async def test_nothing_is_swept_by_a_run_that_may_not_act_any_more() -> None:
    server, fault = Server(web()), planned("workload_release", ON_ROLLOUT)
    server.objects[ROLLOUT] = rollout()
    made(server, "left", 2, mark="release-1")

    async def lapsed() -> None:
        raise AbortTriggered("the lease lapsed")

    assert KIND.prepare
    with pytest.raises(AbortTriggered):
        await KIND.prepare(fault, Reach(server, guard=lapsed))  # type: ignore[arg-type]
    assert f"{SETS}/left" in server.objects


@pytest.mark.parametrize(("mark", "limit", "refused"), [("release-1", 3, False), ("", 10, True), ("", 2, True)])
async def test_releases_that_lie_on_the_way_back_count_against_its_window(mark: str, limit: int, refused: bool) -> None:
    server, fault = Server(web()), planned("workload_release", ON_ROLLOUT)
    server.objects[ROLLOUT] = rollout(
        {"strategy": UNTIMED, "rollbackWindow": {"revisions": 3}} | {"revisionHistoryLimit": limit}
    )
    made(server, "abc", 1)
    for minute in range(2, 5 if limit > 2 else 4):
        made(server, f"younger-{minute}", minute, mark=mark)
    if refused:
        with pytest.raises(InjectionFailed, match="younger ReplicaSets are more than"):
            await injected(server, fault)
    else:
        await injected(server, fault)


async def test_what_is_still_there_of_a_release_is_told() -> None:
    server, fault = Server(web()), planned("workload_release")
    reach = await injected(server, fault)
    assert KIND.remains
    assert await KIND.remains(fault, reach) == ""
    for name, more in (("web-new", {}), ("web-going", {"deletionTimestamp": "now"})):
        metadata = {"name": name, "uid": name, "annotations": {RELEASE: "release-run-1"}, **more}
        server.objects[f"{PODS}/{name}"] = {"metadata": metadata, "spec": {}}
    assert (await KIND.remains(fault, reach)).endswith("still there: web-new")
    reach.note(fault)["left"] = ["somebody else set its image"]
    assert await KIND.remains(fault, reach) == ""


async def test_a_template_that_is_another_object_s_is_refused() -> None:
    assert KIND.unfit
    item = rollout()
    item["spec"]["workloadRef"] = {
        "kind": "Deployment",
        "name": item["spec"].pop("template")["metadata"]["labels"]["app"],
    }
    found = KIND.unfit({}, item, VICTIM)
    assert found
    assert "workloadRef" in found.why


async def test_nothing_is_released_over_what_somebody_has_just_changed() -> None:
    server, fault = Server(web()), planned("workload_release", image="web:2")
    reach = Reach(server)  # type: ignore[arg-type]
    assert KIND.prepare
    await KIND.prepare(fault, reach)
    of(server)["spec"]["containers"][0]["image"] = "web:3"
    with pytest.raises(InjectionFailed, match="not what it was"):
        await KIND.inject(fault, reach)


async def test_it_is_felt_when_a_pod_of_the_release_is_ready() -> None:
    server, fault = Server(web()), planned("workload_release")
    reach = await injected(server, fault)
    metadata = {"name": "web-new", "uid": "new", "annotations": {RELEASE: "release-run-1"}}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    server.objects[f"{PODS}/web-new"] = {"metadata": metadata, "spec": {}, "status": ready}
    assert await KIND.felt(fault, reach) == {"pod": "web-new"}


@pytest.mark.parametrize(
    ("settings", "refused"), [(["A=1", "B="], False), (["A"], True), (["=1"], True), (["a b=1"], True)]
)
def test_a_setting_is_a_name_and_a_value(settings: list[str], refused: bool) -> None:
    assert KIND.clash
    assert bool(KIND.clash(Target(), {"env": settings})) is refused
