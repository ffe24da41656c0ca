"""Who owns a pod is told by references and UIDs, through whatever kind and plural; its controller replaces it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ApiError
from harness.workloads import Owners, Wanted
from harness.workloads.jobs import Ending
from harness.workloads.once import Once
from tests.unit.workloads.objects import SERVED, Object, Server, item, pod, reference, served

pytestmark = pytest.mark.anyio


def owners(*objects: Object, **more: Any) -> Owners:
    return Owners(Server(*objects, **more))  # type: ignore[arg-type]


THREE = {"replicas": 3}
SET = item("ReplicaSet", "web-abc", reference("Deployment", "web"), spec=THREE)
WEB = item("Deployment", "web", spec=THREE)


@pytest.mark.parametrize(
    ("pod_of", "objects", "owner"),
    [
        (reference("ReplicaSet", "web-abc"), [SET, WEB], "Deployment/web"),
        (reference("ReplicaSet", "lone"), [item("ReplicaSet", "lone", spec=THREE)], "ReplicaSet/lone"),
        (
            reference("ReplicaSet", "roll-1"),
            [item("ReplicaSet", "roll-1", reference("Rollout", "roll")), item("Rollout", "roll")],
            "Rollout/roll",
        ),
        (
            reference("ReplicationController", "old"),
            [item("ReplicationController", "old", spec=THREE)],
            "ReplicationController/old",
        ),
        (reference("StatefulSet", "db"), [item("StatefulSet", "db", spec=THREE)], "StatefulSet/db"),
        (reference("DaemonSet", "log"), [item("DaemonSet", "log")], "DaemonSet/log"),
        (reference("Job", "once"), [item("Job", "once")], "Job/once"),
        (reference("Cow", "elsie"), [item("Cow", "elsie")], "Cow/elsie"),
        # A set that a kind owns which does not say how many it wants counts for itself.
        (
            reference("ReplicaSet", "elsie-1"),
            [item("ReplicaSet", "elsie-1", reference("Cow", "elsie")), item("Cow", "elsie")],
            "ReplicaSet/elsie-1",
        ),
        (
            reference("StatefulSet", "db"),
            [item("StatefulSet", "db", reference("Goose", "gans")), item("Goose", "gans")],
            "StatefulSet/db",
        ),
        (reference("Node", "worker"), [item("Node", "worker")], "Node/worker"),
    ],
)
@pytest.mark.case(12, "an owner of any kind, with or without a selector", "owned")
async def test_a_pod_belongs_to_its_workload_whatever_its_kind(pod_of: Object, objects: list[Object], owner: str):
    assert str(await owners(*objects).of(pod("p", pod_of))) == owner


async def test_an_owner_that_does_not_control_owns_nothing():
    assert await owners(WEB).of(pod("p", reference("Deployment", "web", controller=False))) is None
    assert await owners(WEB).of(pod("p")) is None
    both = pod("p", reference("Cow", "elsie", controller=False), reference("StatefulSet", "db"))
    assert str(await owners(item("StatefulSet", "db")).of(both)) == "StatefulSet/db"


async def test_another_object_of_the_same_name_is_not_the_owner():
    assert await owners(WEB).of(pod("p", reference("Deployment", "web", uid="another"))) is None


async def test_an_owner_is_found_by_the_version_that_its_group_prefers_now():
    old = reference("Cow", "elsie", api="farm.example/v1alpha1")
    found = await owners(item("Cow", "elsie")).of(pod("p", old))
    assert found is not None
    assert found.path == "/apis/farm.example/v1/namespaces/shop/kine/elsie"


@pytest.mark.parametrize(
    "hidden", [("/apis/farm.example/v1/namespaces/shop/kine/elsie",), ("/apis/farm.example/v1", "/apis/farm.example")]
)
async def test_an_owner_that_nobody_may_read_owns_its_pods_all_the_same(hidden: tuple[str, ...]):
    known = owners(item("Cow", "elsie"), hidden=hidden)
    mine = pod("p", reference("Cow", "elsie"))
    workload = await known.of(mine)
    assert str(workload) == "Cow/elsie"
    assert workload is not None
    assert await known.wanted(workload, 0) == Wanted(None, sure=False)
    assert await known.unreplaced(mine, Ending()) == ""


async def test_a_deployment_that_nobody_may_read_leaves_its_set_to_count():
    hidden = ("/apis/apps/v1/namespaces/shop/deployments/web",)
    assert (
        str(await owners(SET, WEB, hidden=hidden).of(pod("p", reference("ReplicaSet", "web-abc"))))
        == "ReplicaSet/web-abc"
    )


@pytest.mark.case(4, "two workloads whose pods share labels", "only the owner's own pods count")
async def test_the_pods_of_a_workload_are_those_of_all_its_sets_and_of_nobody_else():
    other = item("ReplicaSet", "api-abc", reference("Deployment", "api"), spec=THREE)
    newer = item("ReplicaSet", "web-def", reference("Deployment", "web"), spec=THREE)
    known = owners(SET, newer, WEB, other, item("Deployment", "api", spec=THREE))
    found = [
        pod("a", reference("ReplicaSet", "web-abc")),
        pod("b", reference("ReplicaSet", "web-def")),
        pod("c", reference("ReplicaSet", "api-abc")),
        pod("d"),
    ]
    workload = await known.of(found[0])
    assert workload is not None
    assert [one["metadata"]["name"] for one in await known.own(found, workload)] == ["a", "b"]
    (first, _) = await known.chain(found[0])
    assert [one["metadata"]["name"] for one in await known.own(found, first)] == ["a"]


async def test_what_owns_a_pod_is_asked_once():
    server = Server(SET, WEB)
    known = Owners(server)  # type: ignore[arg-type]
    await known.of(pod("a", reference("ReplicaSet", "web-abc")))
    asked = len(server.asked)
    await known.of(pod("b", reference("ReplicaSet", "web-abc")))
    assert len(server.asked) == asked


async def test_what_is_read_once_stays_as_it_was_read_and_a_refusal_too():
    server = Server(SET, WEB, hidden=("/apis/apps/v1/namespaces/shop/deployments/web",))
    known, mine = Owners(Once(server)), pod("a", reference("ReplicaSet", "web-abc"))
    first = [str(await known.of(mine)), await known.unreplaced(mine, Ending())]
    asked = len(server.asked)
    server.objects.clear()
    assert [str(await known.of(mine)), await known.unreplaced(mine, Ending())] == first == ["ReplicaSet/web-abc", ""]
    assert len(server.asked) == asked


async def test_a_server_that_is_away_is_an_error_and_not_a_pod_without_an_owner():
    class Away(Server):
        async def get(self, where: str, **_: Any) -> Object:
            raise ApiError(503, "Unavailable", "", where=where)

    with pytest.raises(ApiError):
        await Owners(Away()).of(pod("a", reference("ReplicaSet", "web-abc")))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "content", "wanted"),
    [
        ("Deployment", {"spec": {"replicas": 4}}, Wanted(4)),
        ("Deployment", {}, Wanted(1)),
        ("ReplicationController", {"spec": {"replicas": 0}}, Wanted(0)),
        ("StatefulSet", {"spec": {"replicas": 2}}, Wanted(2)),
        ("Rollout", {"spec": {"replicas": 5}}, Wanted(5)),
        ("DaemonSet", {"desiredNumberScheduled": 3, "observedGeneration": 1}, Wanted(3)),
        ("DaemonSet", {"desiredNumberScheduled": 3, "observedGeneration": 0}, Wanted(None)),
        ("Job", {}, Wanted(1)),
        ("Job", {"spec": {"parallelism": 3, "completions": 5}, "succeeded": 1}, Wanted(3)),
        ("Job", {"spec": {"parallelism": 3, "completions": 5}, "succeeded": 4}, Wanted(1)),
        ("Job", {"spec": {"parallelism": 9, "completions": 9}, "succeeded": 2, "failedIndexes": "1,3-5"}, Wanted(3)),
        (
            "Job",
            {"spec": {"completions": 1}, "uncountedTerminatedPods": {"succeeded": ["uid-p"]}},
            Wanted(0),
        ),
        ("Job", {"spec": {"parallelism": 3}, "succeeded": 1}, Wanted(0)),
        ("Job", {"spec": {"suspend": True}}, Wanted(0)),
        ("Job", {"conditions": [{"type": "Complete", "status": "True"}]}, Wanted(0)),
        ("Job", {"conditions": [{"type": "Failed", "status": "False"}]}, Wanted(1)),
        ("Cow", {}, Wanted(None, sure=False)),
        ("Cow", {"spec": {"replicas": 7}}, Wanted(None, sure=False)),
        ("Cow", {"pods": 3, "readyPods": 2}, Wanted(3, sure=False)),
        ("Cow", {"replicas": 2, "desiredReplicas": 3}, Wanted(3, sure=False)),
        ("Cow", {"replicas": True, "pods": [1, 2]}, Wanted(None, sure=False)),
        ("Goose", {"replicas": 2}, Wanted(6)),
    ],
)
@pytest.mark.case(
    3, "a custom resource that does not say how many pods it wants", "its own pods before the fault count"
)
async def test_what_a_workload_wants_is_read_from_what_its_kind_says(kind: str, content: Object, wanted: Wanted):
    content = dict(content)
    made = item(kind, "x", spec=content.pop("spec", None), **content)
    server = Server(made)
    server.objects["/apis/farm.example/v1/namespaces/shop/geese/x/scale"] = {"spec": {"replicas": 6}}
    known = Owners(server)  # type: ignore[arg-type]
    workload = await known.of(pod("p", reference(kind, "x")))
    assert workload is not None
    found = await known.wanted(workload, 0)
    assert found is not None
    assert (found.number, found.sure) == (wanted.number, wanted.sure)


async def test_a_scale_that_cannot_be_read_is_as_good_as_none():
    known = owners(item("Goose", "x", pods=2))
    workload = await known.of(pod("p", reference("Goose", "x")))
    assert workload is not None
    found = await known.wanted(workload, 0)
    assert found is not None
    assert (found.number, found.sure) == (2, False)


async def test_a_workload_that_does_not_say_what_it_wants_tells_when_something_else_is_asked_of_it():
    server = Server(item("Cow", "x", spec={"head": 3}, pods=3))
    known = Owners(server)  # type: ignore[arg-type]
    workload = await known.of(pod("p", reference("Cow", "x")))
    assert workload is not None
    told = []
    for head, pods in ((3, 3), (3, 2), (2, 2)):
        server.objects[workload.path] = item("Cow", "x", spec={"head": head}, pods=pods)
        told.append((await known.want(workload, server.objects[workload.path])).spec)
    assert told[0] == told[1] != told[2]


async def test_a_workload_that_is_gone_wants_nothing_at_all():
    server = Server(SET, WEB)
    known = Owners(server)  # type: ignore[arg-type]
    workload = await known.of(pod("p", reference("ReplicaSet", "web-abc")))
    server.objects.clear()
    assert workload is not None
    assert await known.wanted(workload, 0) is None


@pytest.mark.parametrize(
    ("wanted", "before", "enough"),
    [
        (Wanted(3), 3, 3),
        (Wanted(6), 4, 4),
        (Wanted(2), 4, 2),
        (Wanted(None), 3, None),
        (Wanted(None, sure=False), 3, 3),
        (Wanted(5, sure=False), 3, 3),
        (Wanted(1, sure=False), 3, 3),
    ],
)
def test_whole_again_is_as_much_as_before_or_as_is_still_wanted(wanted: Wanted, before: int, enough: int | None):
    assert wanted.again(before) == enough


def job(failed: int = 0, **spec: Any) -> Object:
    return item("Job", "x", spec=spec, failed=failed)


def going(made: Object) -> Object:
    made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return made


@pytest.mark.parametrize(
    ("pod_of", "objects", "why"),
    [
        (None, [], "no controller owns it"),
        (reference("StatefulSet", "x"), [], "its controller StatefulSet/x is gone"),
        (reference("StatefulSet", "x"), [item("StatefulSet", "x")], ""),
        (reference("StatefulSet", "x"), [going(item("StatefulSet", "x"))], "being deleted"),
        (reference("StatefulSet", "x"), [item("StatefulSet", "x", spec={"replicas": 0})], "wants no pod any more"),
        (reference("DaemonSet", "x"), [item("DaemonSet", "x")], ""),
        (reference("Cow", "x"), [item("Cow", "x", pods=0)], ""),
        (reference("Job", "x"), [job()], ""),
        (reference("Job", "x"), [job(failed=5)], ""),
        (reference("Job", "x"), [job(failed=6)], "failed 6 times"),
        (reference("Job", "x"), [job(backoffLimit=0)], "may fail 0 times"),
        (reference("Job", "x"), [job(failed=9, backoffLimitPerIndex=1)], ""),
        (reference("Job", "x"), [job(backoffLimitPerIndex=0)], "may fail 0 times"),
        (reference("Job", "x"), [job(suspend=True)], "wants no pod any more"),
    ],
)
async def test_who_would_not_replace_a_pod_is_named(pod_of: Object | None, objects: list[Object], why: str):
    said = await owners(*objects).unreplaced(pod("p", *([pod_of] if pod_of else [])), Ending())
    assert (why in said) if why else not said


@pytest.mark.case(10, "a workload that is deleted and stays until its pods are gone", "it wants none: no loss")
@pytest.mark.parametrize("kind", ["Deployment", "Job", "Cow", "Goose"])
async def test_a_workload_that_is_being_deleted_wants_no_pod(kind: str):
    server = Server(going(item(kind, "x", spec=THREE, pods=3)))
    server.objects["/apis/farm.example/v1/namespaces/shop/geese/x/scale"] = {"spec": {"replicas": 6}}
    known = Owners(server)  # type: ignore[arg-type]
    workload = await known.of(pod("p", reference(kind, "x")))
    assert workload is not None
    assert await known.wanted(workload, 2) == Wanted(0)


async def test_a_set_that_goes_on_below_a_deployment_that_is_being_deleted_replaces_nothing():
    known = owners(SET, going(item("Deployment", "web", spec=THREE)))
    mine = pod("p", reference("ReplicaSet", "web-abc"))
    assert "Deployment/web is being deleted" in await known.unreplaced(mine, Ending())


def test_the_double_serves_an_irregular_plural():
    assert "kine" in {one["name"] for one in SERVED["/apis/farm.example/v1"]["resources"]}


@pytest.mark.case(3, "a custom resource whose scale counts something else than its pods", "its pods before count")
async def test_a_scale_below_what_is_ready_counts_something_else():
    server = Server(item("Goose", "x"))
    where = "/apis/farm.example/v1/namespaces/shop/geese/x/scale"
    server.objects[where] = {"spec": {"replicas": 3}}
    known = Owners(server)  # type: ignore[arg-type]
    workload = await known.of(pod("p", reference("Goose", "x")))
    assert workload is not None

    async def enough(ready: int, before: int) -> int | None:
        found = await known.wanted(workload, ready)
        return found.again(before) if found else None

    assert await enough(2, 3) == 3
    assert await enough(4, 4) == 4
    assert await enough(3, 4) == 4, "once it was seen to count something else it is not believed again"
    # One that has asked for more before is being scaled down.
    known = Owners(server)  # type: ignore[arg-type]
    server.objects[where] = {"spec": {"replicas": 5}}
    assert await enough(5, 5) == 5
    server.objects[where] = {"spec": {"replicas": 3}}
    assert await enough(5, 5) == 3


@pytest.mark.case(12, "an owner whose kind has left the version that its pods name", "owned")
async def test_an_owner_is_found_though_its_old_version_is_served_for_others(monkeypatch):
    monkeypatch.setitem(SERVED, "/apis/farm.example/v1beta1", served(("hens", "Hen")))
    old = reference("Cow", "elsie", api="farm.example/v1beta1")
    found = await owners(item("Cow", "elsie")).of(pod("p", old))
    assert found is not None
    assert found.path == "/apis/farm.example/v1/namespaces/shop/kine/elsie"


async def test_a_custom_owner_that_nobody_can_translate_just_now_owns_its_pods_all_the_same():
    class Webhook(Server):
        async def get(self, where: str, **more: Any) -> Object:
            if where.endswith(("/elsie", "/web-abc")):
                raise ApiError(500, "InternalError", "conversion webhook for farm.example failed", where=where)
            return await super().get(where, **more)

    known = Owners(Webhook())  # type: ignore[arg-type]
    workload = await known.of(pod("p", reference("Cow", "elsie")))
    assert str(workload) == "Cow/elsie"
    assert workload is not None
    assert await known.wanted(workload, 1) == Wanted(None, sure=False)
    with pytest.raises(ApiError):
        await known.of(pod("p", reference("ReplicaSet", "web-abc")))


@pytest.mark.case(12, "an owner whose kind the API server serves no more", "gone: nobody would replace its pods")
@pytest.mark.parametrize("api", ["barn.example/v1", "farm.example/v1"])
async def test_an_owner_whose_kind_is_served_no_more_replaces_nothing(api: str):
    mine = pod("p", reference("Hen", "berta", api=api))
    assert await owners().of(mine) is None
    assert await owners().unreplaced(mine, Ending()) == "its controller Hen/berta is gone"
    assert await owners(hidden=(f"/apis/{api}",)).unreplaced(mine, Ending()) == ""
