"""A zone is all its nodes: found by those that match, named with what runs there, and for no other fault meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from harness.engine.planning import plan
from harness.errors import InjectionFailed, UsageError
from harness.model.fault import Target
from harness.model.plan import Victim
from harness.targets import nodes, select, zones
from harness.workloads import Owners
from tests.unit.targets.fakes import FakeKube, planned, reach

pytestmark = pytest.mark.anyio
TYPE = "node-type=general-compute"


def node(name: str, zone: str = "", *, control: bool = False) -> dict[str, Any]:
    labels = ({zones.LABEL: zone} if zone else {}) | ({nodes.CONTROL_PLANE: ""} if control else {})
    return {"metadata": {"name": name, "uid": f"uid-{name}", "labels": labels}}


def pod(name: str, at: str, owner: str = "ReplicaSet") -> dict[str, Any]:
    owners = [{"apiVersion": "apps/v1", "kind": owner, "name": "x", "uid": "x", "controller": True}]
    metadata = {"name": name, "uid": f"uid-{name}", "namespace": "shop", "ownerReferences": owners}
    return {"metadata": metadata, "spec": {"nodeName": at}, "status": {}}


class Cluster(FakeKube):
    """Nodes, of which those in `matching` have the label that is asked for, and pods by their node."""

    def __init__(self, *there: dict[str, Any], matching: Iterable[str], pods: Iterable[dict[str, Any]] = ()) -> None:
        super().__init__()
        self.there, self.matching, self.pods = there, [*matching], [*pods]

    async def list(self, path: str, *, labels: str | None = None, fields: str | None = None) -> list[dict[str, Any]]:
        if path == "/api/v1/pods":
            return [one for one in self.pods if fields == f"spec.nodeName={one['spec']['nodeName']}"]
        assert path == "/api/v1/nodes"
        return [one for one in self.there if not labels or one["metadata"]["name"] in self.matching]


async def picked(cluster: Cluster, target: Target, *taken: str, seed: int = 1) -> tuple[Victim, ...]:
    owners = Owners(cluster)  # type: ignore[arg-type]
    chance = random.Random(seed)
    return await select.resolve(cluster, owners, target, chance, taken=frozenset(taken))  # type: ignore[arg-type]


THREE = (node("a1", "a"), node("a2", "a"), node("b1", "b"), node("nowhere"), node("main", control=True))
ONE = Target(selector=TYPE, zones=1)


async def test_a_zone_has_all_its_nodes_also_those_that_do_not_match() -> None:
    (victim,) = await picked(Cluster(*THREE, matching=["a2"]), ONE)
    assert victim == Victim("zone", "a", "uid-a1,uid-a2", zone="a")


async def test_the_seed_picks_a_zone_and_a_node_without_one_is_in_none() -> None:
    cluster = Cluster(*THREE, matching=["a1", "b1", "nowhere"])
    assert {(await picked(cluster, ONE, seed=seed))[0].name for seed in range(20)} == {"a", "b"}
    with pytest.raises(UsageError, match="no zone matches") as refused:
        await picked(Cluster(*THREE, matching=["nowhere"]), ONE)
    assert zones.LABEL in refused.value.hint


async def test_a_zone_with_the_control_plane_is_left_out_and_refused_when_it_is_the_only_one() -> None:
    there = (*THREE, node("other", "a", control=True))
    assert [one.name for one in await picked(Cluster(*there, matching=["a1", "b1"]), ONE)] == ["b"]
    with pytest.raises(UsageError, match="the control plane is in zone a"):
        await picked(Cluster(*there, matching=["a1"]), ONE)


async def test_a_zone_and_a_node_of_it_are_never_broken_together() -> None:
    cluster = Cluster(*THREE, matching=["a1", "a2", "b1"])
    assert {(await picked(cluster, ONE, "uid-a2", seed=seed))[0].name for seed in range(20)} == {"b"}
    (zone,) = await picked(Cluster(*THREE, matching=["a1"]), ONE)
    found = await picked(cluster, Target(selector=TYPE, nodes=1), *zone.uids)
    assert [one.name for one in found] == ["b1"]


async def test_the_plan_names_the_nodes_of_a_zone_and_the_pods_that_go_with_them() -> None:
    pods = [pod("web-2", "a2"), pod("web-1", "a1"), pod("log", "a1", owner="DaemonSet"), pod("other", "b1")]
    cluster = Cluster(*THREE, matching=["a1"], pods=pods)
    (zone,) = await picked(cluster, ONE)
    found = await plan.takes(cluster, "zone_outage", zone, {})  # type: ignore[arg-type]
    assert [(one.kind, str(one), one.node, one.zone) for one in found] == [
        ("node", "a1", "a1", "a"),
        ("node", "a2", "a2", "a"),
        ("pod", "shop/web-1", "a1", "a"),
        ("pod", "shop/web-2", "a2", "a"),
    ]


@pytest.mark.parametrize("now", [("a1",), ("a1", "a2", "a3")])
async def test_a_zone_that_has_other_nodes_than_the_plan_names_is_left_alone(now: tuple[str, ...]) -> None:
    parts = tuple(Victim("node", name, f"uid-{name}", node=name, zone="a") for name in ("a1", "a2"))
    fault = replace(planned("zone_outage"), victim=Victim("zone", "a", "uid-a1,uid-a2", zone="a"), takes=parts)
    cluster = Cluster(*(node(name, "a") for name in now), matching=[])
    with pytest.raises(InjectionFailed, match="the zone has other nodes than the plan names"):
        await zones.prepare(fault, reach(cluster))
