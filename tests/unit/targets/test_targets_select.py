"""The same seed picks the same places; names and UIDs never matter."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InjectionFailed, UsageError
from harness.faults import FAULTS
from harness.model.fault import Target
from harness.model.plan import Victim
from harness.model.share import Share
from harness.targets import containers, select
from harness.targets.candidates import soonest
from harness.targets.select import pick
from harness.workloads import Owners


def pods(count: int, prefix: str = "pod") -> list[Victim]:
    """Make pods spread over three zones, with names that carry no meaning."""
    return [
        Victim(
            kind="pod",
            name=f"{prefix}-{n}",
            uid=f"{prefix}-uid-{n}",
            namespace="shop",
            zone="abc"[n % 3],
            owner="Deployment/web",
        )
        for n in range(count)
    ]


def places(victims: Sequence[Victim]) -> list[tuple[str, str]]:
    """Return the zone and the number of each victim."""
    return [(victim.zone, victim.name.rpartition("-")[2]) for victim in victims]


@given(seed=st.integers(), count=st.integers(1, 6))
def test_one_seed_picks_the_same_places_whatever_the_names(seed: int, count: int) -> None:
    first = pick(pods(6, "old"), count, random.Random(seed))
    second = pick(pods(6, "new"), count, random.Random(seed))
    assert places(first) == places(second)
    assert len(first) == count


@given(seed=st.integers())
def test_victims_are_taken_from_every_zone_before_a_zone_gives_two(seed: int) -> None:
    assert {victim.zone for victim in pick(pods(9), 3, random.Random(seed))} == {"a", "b", "c"}


def test_different_seeds_pick_different_pods() -> None:
    picked = {places(pick(pods(9), 1, random.Random(seed)))[0] for seed in range(40)}
    assert len(picked) > 3


def test_no_more_is_picked_than_there_is() -> None:
    assert len(pick(pods(2), 5, random.Random(1))) == 2


NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def restarted(waited: float | None, name: str = "web", ago: float = 60) -> dict[str, Any]:
    """Make a pod whose container was started `ago` seconds before NOW, after a wait; None: it never ended."""
    started = NOW - timedelta(seconds=ago)
    status: dict[str, Any] = {"name": "web", "state": {"running": {"startedAt": started.isoformat()}}}
    if waited is not None:
        ended = started - timedelta(seconds=waited)
        status["lastState"] = {"terminated": {"finishedAt": ended.isoformat()}}
    spec = {"containers": [{"name": "web"}]}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec, "status": {"containerStatuses": [status]}}


def test_pods_that_the_kubelet_would_start_again_late_are_passed_over() -> None:
    pods = [restarted(42), restarted(None), restarted(16), restarted(None)]
    assert soonest(pods, 1, "", 60, NOW) == [pods[1], pods[3]]
    assert soonest(pods, 3, "", 60, NOW) == [pods[1], pods[2], pods[3]]
    assert soonest(pods, 9, "", 60, NOW) == pods


def test_a_container_that_would_be_back_too_late_is_not_killed() -> None:
    pods = [restarted(None), restarted(42, "shop-1")]
    assert soonest(pods, 2, "", 95, NOW) == pods
    with pytest.raises(InjectionFailed, match="only after about 80 s") as refused:
        soonest(pods, 2, "", 94, NOW)
    assert refused.value.where == "shop/shop-1"
    assert "harness up" in refused.value.hint


def test_only_the_container_that_would_be_killed_counts() -> None:
    pod = restarted(160)
    assert soonest([pod], 1, "sidecar", 60, NOW) == [pod]


class Cluster:
    """One node, and the pods that it is given."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods = pods

    async def list(self, path: str, **_: Any) -> Sequence[dict[str, Any]]:
        return self.pods if path.endswith("/pods") else [{"metadata": {"name": "worker", "uid": "n"}}]


def there(count: int, *names: str, annotated: str = "", sidecar: str = "") -> Cluster:
    """Make a cluster of so many ready pods with these containers, the first of them older than the second and so on."""
    made = []
    for number in range(count):
        metadata: dict[str, Any] = {"name": f"web-{number}", "namespace": "shop", "uid": f"uid-{number}"}
        metadata["creationTimestamp"] = str(number)
        metadata["annotations"] = {containers.DEFAULT: annotated} if annotated else None
        spec: dict[str, Any] = {"nodeName": "worker", "containers": [{"name": name} for name in names or ["web"]]}
        spec["initContainers"] = [{"name": "setup"}]
        if sidecar:
            spec["initContainers"].append({"name": sidecar, "restartPolicy": "Always"})
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        made.append({"metadata": metadata, "spec": spec, "status": status})
    return Cluster(*made)


async def resolved(cluster: Cluster, target: Target, seed: int = 1, **more: Any) -> tuple[list[Victim], list[str]]:
    told: list[str] = []
    more = {"taken": frozenset(), "inside": containers.one_named, "tell": told.append, **more}
    owners = Owners(cluster)  # type: ignore[arg-type]
    found = await select.resolve(cluster, owners, target, random.Random(seed), **more)  # type: ignore[arg-type]
    return list(found), told


SHOP = partial(Target, "shop", "app=web")
HALF = SHOP(share=Share("pod", 50.0))


@pytest.mark.anyio
async def test_a_share_is_one_of_the_pods_that_match_and_the_plan_shows_the_rounding() -> None:
    found, told = await resolved(there(5), HALF)
    assert len(found) == 2
    assert told == ["shop/app=web: 50 % of 5 pods = 2 (2.5 rounded down)"]


@pytest.mark.anyio
async def test_half_and_half_of_one_workload_are_two_equal_parts() -> None:
    first, _ = await resolved(there(4), HALF)
    second, told = await resolved(there(4), HALF, taken=frozenset(victim.uid for victim in first))
    assert len({*first, *second}) == 4
    assert told == ["shop/app=web: 50 % of 4 pods = 2"]
    with pytest.raises(UsageError, match="4 pods wanted, 2 exist"):
        await resolved(there(4), SHOP(share=Share("pod", 100.0)), taken=frozenset({"uid-0", "uid-1"}))


@pytest.mark.anyio
async def test_a_share_that_is_no_pod_is_refused_with_the_least_that_is_one() -> None:
    with pytest.raises(UsageError, match="30 % of 3 pods = none") as refused:
        await resolved(there(3), SHOP(share=Share("pod", 30.0)))
    assert "pods: 34% or more" in refused.value.hint


@pytest.mark.anyio
async def test_the_same_seed_draws_the_same_share_and_the_same_pods() -> None:
    drawn = SHOP(share=Share("pod", 100.0, drawn=True))
    runs = [await resolved(there(9), drawn, seed) for seed in (1, 1, 2, 3, 4, 5)]
    assert runs[0] == runs[1]
    assert len({len(found) for found, _ in runs}) > 1


@pytest.mark.anyio
async def test_a_target_by_count_picks_what_it_picked_before_there_were_shares() -> None:
    counted, told = await resolved(there(9), SHOP(pods=4), 7)
    shared, _ = await resolved(there(9), SHOP(share=Share("pod", 45.0)), 7)
    assert (counted, told) == (shared, [])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "named", "shown"),
    [
        ("container_kill", "", "web"),
        ("container_kill", "proxy", "proxy"),
        ("container_kill", "mesh", "mesh"),
        ("pod_freeze", "", "proxy, web, mesh"),
        ("pod_kill", "", ""),
    ],
)
async def test_a_victim_names_what_is_hit_inside_of_it(kind: str, named: str, shown: str) -> None:
    cluster = there(1, "proxy", "web", annotated="web", sidecar="mesh")
    found, _ = await resolved(cluster, SHOP(pods=1, container=named), inside=FAULTS[kind].inside)
    assert found[0].container == shown


@pytest.mark.anyio
@pytest.mark.parametrize("named", ["setup", "debug", "wbe"])
async def test_a_container_that_the_kubelet_does_not_start_again_is_refused_before_anything_is_touched(
    named: str,
) -> None:
    with pytest.raises(UsageError, match=f"no pod has a container '{named}'") as refused:
        await resolved(there(2, "web", "proxy"), SHOP(pods=1, container=named))
    assert refused.value.why == "the kubelet starts these again: proxy, web"


@pytest.mark.anyio
async def test_of_pods_that_share_a_label_only_those_with_the_named_container_are_picked() -> None:
    cluster = Cluster(*there(2, "web").pods, *there(4, "web", "proxy").pods[2:])
    found, _ = await resolved(cluster, SHOP(share=Share("pod", 100.0), container="proxy"))
    assert {victim.uid for victim in found} == {"uid-2", "uid-3"}


@pytest.mark.anyio
@pytest.mark.parametrize("amiss", ["going", "evicted"])
async def test_a_node_hosts_no_pod_that_has_ended_or_is_to_go(amiss: str) -> None:
    cluster = there(1)
    if amiss == "going":
        cluster.pods[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    else:
        cluster.pods[0]["status"] |= {"phase": "Failed", "reason": "Evicted"}
    with pytest.raises(UsageError, match="no node matches"):
        await resolved(cluster, Target(nodes=1, hosting="shop/app=web"))
    assert [one.name for one in (await resolved(there(1), Target(nodes=1, hosting="shop/app=web")))[0]] == ["worker"]
