"""A workload's own pods are counted as the API server tells of them, and what it wants is told beside it."""

from __future__ import annotations

import pytest

from harness.workloads import Owners, Wanted, Workload
from harness.workloads.census import NOTHING, UNKNOWN, Census
from tests.unit.workloads.objects import Object, Server, item, pod, reference

pytestmark = pytest.mark.anyio
DB, ELSIE = item("StatefulSet", "db", spec={"replicas": 2}), item("Cow", "elsie")
OF_DB, OF_ELSIE = reference("StatefulSet", "db"), reference("Cow", "elsie")


class Heard:
    """A census of the namespace `shop`, what it told, and whom it asked to have watched."""

    def __init__(self, *objects: Object) -> None:
        self.told: list[tuple[str, int, Wanted]] = []
        self.followed: list[str] = []
        self.census = Census(Owners(Server(*objects)), self._tell, self._follow)  # type: ignore[arg-type]

    def _tell(self, workload: Workload, ready: int, wanted: Wanted) -> None:
        self.told.append((workload.key, ready, wanted))

    def _follow(self, workload: Workload) -> None:
        self.followed.append(workload.collection)

    def news(self) -> list[tuple[str, int, Wanted]]:
        told, self.told = self.told, []
        return told


async def test_every_workload_that_has_a_pod_is_counted_by_its_own_pods():
    heard = Heard(DB, ELSIE)
    found = [pod("db-0", OF_DB), pod("db-1", OF_DB, ready=False), pod("e", OF_ELSIE), pod("lone")]
    assert await heard.census.listed(found) == 3
    assert heard.news() == [
        ("shop/StatefulSet/db", 1, UNKNOWN),
        ("shop/Cow/elsie", 1, UNKNOWN),
        ("shop/Pod/lone", 1, UNKNOWN),
    ]
    assert heard.followed == [
        "/apis/apps/v1/namespaces/shop/statefulsets",
        "/apis/farm.example/v1/namespaces/shop/kine",
        "",
    ]
    await heard.census.owner("ADDED", DB)
    assert heard.news() == [("shop/StatefulSet/db", 1, Wanted(2))]


async def test_a_change_is_told_once_and_only_of_whom_it_is_about():
    heard = Heard(DB, ELSIE)
    await heard.census.listed([pod("db-0", OF_DB), pod("e", OF_ELSIE)])
    heard.news()
    await heard.census.pod("MODIFIED", pod("db-0", OF_DB))
    assert heard.news() == []
    await heard.census.pod("MODIFIED", pod("db-0", OF_DB, going=True))
    await heard.census.pod("DELETED", pod("db-0", OF_DB, going=True))
    assert heard.news() == [("shop/StatefulSet/db", 0, UNKNOWN)]


async def test_nothing_is_told_before_all_pods_were_seen():
    heard = Heard(DB)
    await heard.census.owner("ADDED", DB)
    await heard.census.pod("ADDED", pod("db-0", OF_DB))
    assert heard.news() == []
    await heard.census.listed([pod("db-0", OF_DB)])
    assert heard.news() == [("shop/StatefulSet/db", 1, Wanted(2))]


async def test_all_is_told_again_after_the_pods_were_out_of_sight():
    heard = Heard(DB)
    await heard.census.listed([pod("db-0", OF_DB)])
    heard.news()
    assert heard.census.lost() == ["shop/StatefulSet/db"]
    await heard.census.owner("MODIFIED", DB)
    assert heard.news() == []
    await heard.census.listed([])
    assert heard.news() == [("shop/StatefulSet/db", 0, Wanted(2))]


@pytest.mark.parametrize("seen", [True, False])
async def test_a_workload_that_was_deleted_wants_nothing_and_its_last_pods_bring_it_back_to_nobody(seen: bool):
    heard = Heard(DB)
    await heard.census.listed([pod("db-0", OF_DB), pod("db-1", OF_DB)])
    heard.news()
    if seen:
        await heard.census.owner("DELETED", DB)
    else:
        heard.census.owners_listed("/apis/apps/v1/namespaces/shop/statefulsets", [])
    await heard.census.pod("MODIFIED", pod("db-0", OF_DB, going=True))
    await heard.census.pod("DELETED", pod("db-1", OF_DB))
    assert heard.news() == [("shop/StatefulSet/db", 0, NOTHING)]


async def test_a_pod_that_nobody_owns_counts_for_itself_until_it_is_done_or_gone():
    heard = Heard()
    await heard.census.listed([pod("lone"), pod("task"), pod("old")])
    heard.news()
    await heard.census.pod("MODIFIED", pod("lone", ready=False))
    done = pod("task", ready=False)
    done["status"]["phase"] = "Succeeded"
    await heard.census.pod("MODIFIED", done)
    assert heard.news() == [("shop/Pod/lone", 0, UNKNOWN), ("shop/Pod/task", 0, NOTHING)]
    await heard.census.pod("DELETED", pod("lone"))
    await heard.census.listed([done])
    assert heard.news() == [("shop/Pod/lone", 0, NOTHING), ("shop/Pod/old", 0, NOTHING)]


@pytest.mark.case(3, "a pod that owns others, one of which is done", "the others are still counted as before")
async def test_a_pod_that_owns_others_is_not_done_when_one_of_them_is():
    driver, of_driver = item("Pod", "driver"), reference("Pod", "driver")
    heard = Heard(driver)
    await heard.census.listed([pod("driver"), pod("a", of_driver), pod("b", of_driver)])
    failed = pod("a", of_driver, ready=False)
    failed["status"]["phase"] = "Failed"
    heard.news()
    await heard.census.pod("MODIFIED", failed)
    assert heard.news() == [("shop/Pod/driver", 2, UNKNOWN)]


@pytest.mark.case(10, "a workload that is deleted and stays until its pods are gone", "it wants none: no loss")
async def test_a_job_that_is_being_deleted_wants_no_pod_whatever_it_has_to_do():
    once, of_once = item("Job", "once", spec={"parallelism": 2, "completions": 3}), reference("Job", "once")
    heard = Heard(once)
    await heard.census.listed([pod("a", of_once), pod("b", of_once)])
    once["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    await heard.census.owner("MODIFIED", once)
    assert heard.news()[-1] == ("shop/Job/once", 2, Wanted(0))


def done(made: Object, *, going: bool = False) -> Object:
    made["status"] = {"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "False"}]}
    if going:
        made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return made


ENDED = pytest.mark.case(10, "a pod that ends well beside the fault", "it did what it was there for: no loss")


@ENDED
async def test_a_job_wants_one_less_from_the_moment_at_which_its_pod_ends_well():
    once = item("Job", "once", spec={"parallelism": 2, "completions": 3})
    heard, of_once = Heard(once), reference("Job", "once")
    await heard.census.listed([pod("a", of_once), pod("b", of_once)])
    await heard.census.owner("ADDED", once)
    heard.news()
    # Of three one is done, so two are wanted still; of two that are done, one.
    await heard.census.pod("MODIFIED", done(pod("a", of_once)))
    await heard.census.pod("MODIFIED", pod("c", of_once))
    await heard.census.pod("MODIFIED", done(pod("b", of_once)))
    await heard.census.pod("MODIFIED", done(pod("c", of_once)))
    assert [(ready, wanted.number) for _, ready, wanted in heard.news()] == [(1, 2), (2, 2), (1, 1), (0, 0)]


@ENDED
async def test_a_pod_that_ends_well_still_counts_for_an_owner_that_does_not_say_what_it_wants():
    heard = Heard(ELSIE)
    await heard.census.listed([pod("a", OF_ELSIE), pod("b", OF_ELSIE)])
    heard.news()
    await heard.census.pod("MODIFIED", done(pod("a", OF_ELSIE)))
    await heard.census.pod("DELETED", done(pod("a", OF_ELSIE)))
    assert heard.news() == []
    # One that was told to go did not end by itself, whatever it ended with.
    await heard.census.pod("MODIFIED", done(pod("b", OF_ELSIE), going=True))
    assert [ready for _, ready, _ in heard.news()] == [1]


async def test_a_scale_below_what_is_ready_is_not_told_as_what_is_wanted():
    gans, of_gans = item("Goose", "gans"), reference("Goose", "gans")
    heard = Heard(gans)
    server = heard.census._owners._kube
    server.objects["/apis/farm.example/v1/namespaces/shop/geese/gans/scale"] = {"spec": {"replicas": 1}}  # type: ignore[attr-defined]
    await heard.census.listed([pod("a", of_gans), pod("b", of_gans, ready=False)])
    await heard.census.owner("ADDED", gans)
    await heard.census.pod("MODIFIED", pod("b", of_gans))
    await heard.census.pod("MODIFIED", pod("b", of_gans, ready=False))
    assert [(ready, wanted.sure) for _, ready, wanted in heard.news()] == [
        (1, False),
        (1, True),
        (2, False),
        (1, False),
    ]
