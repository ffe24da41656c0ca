"""A node is given notice, drained and stopped, in this order and as one fault; its undo is known before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.errors import AbortTriggered, ApiError, InjectionFailed, UndoFailed
from harness.faults import FAULTS
from harness.faults.node_spot_reclaim import key
from harness.hands.host import inside
from harness.model.plan import PlannedFault
from harness.targets import nodes
from harness.targets.pods import Fate
from harness.targets.reach import Reach
from tests.unit.faults.keeper import Keeper
from tests.unit.targets.fakes import CLUSTER, POD, PODS, FakeKube, node, planned, pod, web

pytestmark = pytest.mark.anyio
KIND = FAULTS["node_spot_reclaim"]
FAULT: PlannedFault = replace(planned("node_spot_reclaim", notice=0.0), takes=(POD,))
TAINT = {"key": "chaos.harness.dev/run-1", "effect": "NoSchedule"}
NOTICE, STOP = inside.notice("c-control-plane", "worker", key(FAULT)), {"op": "stop", "container": "c-worker"}


class Cluster(FakeKube):
    """A worker with one pod that the plan names; `done` is what happens to them, in its order."""

    def __init__(self, *there: dict[str, Any]) -> None:
        every = list(there) or [pod("uid-1")]
        super().__init__({**web(2), "/api/v1/nodes/worker": node(), "/api/v1/pods": every, PODS: every})
        self.answers, self.silent, self.done = [(201, {})], False, list[Any]()

    async def get_text(self, path: str) -> str:
        if self.silent and path.startswith("/api/v1/nodes/"):
            raise ApiError(503, "ServiceUnavailable", "no route to host")
        return "ok"

    async def evict(self, pod: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.done.append(pod["metadata"]["name"])
        return await super().evict(pod)


class Recording(Keeper):
    """A keeper whose orders stand among the evictions."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.cluster = cluster

    async def apply(self, fault_id: str, ops: Sequence[dict[str, Any]]) -> dict[str, Any]:
        self.cluster.done += ops
        return await super().apply(fault_id, ops)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "PAUSE_SECONDS", 0.0)


def there(cluster: Cluster, **more: Any) -> Reach:
    return Reach(cluster, healer=Recording(cluster), cluster=CLUSTER, **more)  # type: ignore[arg-type]


def test_the_undo_starts_the_node_and_takes_off_its_own_taint() -> None:
    start, untaint = KIND.undo(FAULT, there(Cluster()))
    assert start == {"op": "start", "container": "c-worker"}
    assert untaint["container"] == "c-control-plane"
    assert untaint["argv"][-2:] == ["worker", TAINT["key"]]
    assert KIND.fate(FAULT, pod()) is Fate.EVICTED


async def test_the_notice_comes_first_then_the_evictions_and_the_stop_last() -> None:
    cluster = Cluster(pod("uid-1"), pod("uid-9"))
    facts = await KIND.inject(FAULT, there(cluster))
    assert cluster.done == [NOTICE, "web-uid-1", STOP]
    assert (facts["evicted"], facts["came_later"]) == (["shop/web-uid-1"], ["shop/web-uid-9"])


async def test_a_pod_that_a_budget_holds_back_goes_with_the_node_and_is_told_of() -> None:
    cluster = Cluster()
    cluster.answers = [(429, {"message": "no", "details": {"causes": [{"reason": "DisruptionBudget"}]}})]
    facts = await KIND.inject(FAULT, there(cluster))
    assert (facts["evicted"], facts["left"]) == ([], ["shop/web-uid-1"])
    assert cluster.done[-1] == STOP


async def cut(cluster: Cluster, reach: Reach) -> None:
    """Reclaim the node with a long notice, and end that some time after the pod was asked to go."""
    async with anyio.create_task_group() as group:
        group.start_soon(KIND.inject, replace(FAULT, parameters={"notice": 600.0}), reach)
        with anyio.fail_after(30):
            while not cluster.evicted:
                await anyio.sleep(0)
        await anyio.sleep(0.05)
        group.cancel_scope.cancel()


async def test_the_stop_waits_until_the_notice_is_over() -> None:
    cluster = Cluster()
    await cut(cluster, there(cluster))
    assert cluster.done == [NOTICE, "web-uid-1"]


async def test_a_run_that_lost_its_right_meanwhile_does_not_stop_the_node() -> None:
    cluster = Cluster()

    async def guard() -> None:
        if cluster.evicted:
            raise AbortTriggered("the lease is lost")

    with pytest.raises(AbortTriggered):
        await KIND.inject(FAULT, there(cluster, guard=guard))
    assert cluster.done == [NOTICE, "web-uid-1"]


async def test_a_node_with_a_pod_that_nobody_would_replace_is_left_alone() -> None:
    lonely = pod("uid-1")
    del lonely["metadata"]["ownerReferences"]
    cluster = Cluster(lonely)
    with pytest.raises(InjectionFailed, match="nothing would replace this pod: shop/web-uid-1"):
        await KIND.inject(FAULT, there(cluster))
    assert cluster.done == []


async def test_it_is_felt_when_the_node_has_the_taint_and_is_silent() -> None:
    cluster = Cluster()
    reach = there(cluster)
    await KIND.inject(FAULT, reach)
    cluster.silent = True
    for taints in ([], [{**TAINT, "key": "another"}]):
        cluster.objects["/api/v1/nodes"] = [node(taints=taints)]
        with anyio.move_on_after(0.05) as waiting:
            await KIND.felt(FAULT, reach)
        assert waiting.cancelled_caught
    cluster.objects["/api/v1/nodes"] = [node(taints=[TAINT])]
    said = {"tainted": True, "kubelet": "silent", "ready": True, "evicted": ["shop/web-uid-1"], "left": []}
    assert await KIND.felt(FAULT, reach) == said


async def test_it_is_healed_when_node_and_workloads_are_back_and_the_taint_is_gone() -> None:
    cluster = Cluster(pod("uid-1"), pod("uid-2"))
    reach = there(cluster)
    await KIND.inject(FAULT, reach)
    cluster.objects |= {"/api/v1/nodes": [node(taints=[TAINT])], PODS: [pod("uid-2"), pod("uid-4")]}
    with anyio.move_on_after(0.05) as waiting:
        await KIND.healed(FAULT, reach)
    assert waiting.cancelled_caught
    cluster.objects["/api/v1/nodes"] = [node()]
    found = await KIND.healed(FAULT, reach)
    assert found["owners"] == [{"owner": "Deployment/web", "ready": 2, "desired": 2}]
    assert found["tainted"] is False


async def test_what_is_cut_during_its_notice_waits_for_no_pod_to_begin_anew() -> None:
    stays = {**pod("uid-2"), "status": {**pod()["status"], "containerStatuses": [{"containerID": "containerd://1"}]}}
    cluster = Cluster(pod("uid-1"), stays)
    reach = there(cluster)
    await cut(cluster, reach)
    cluster.objects |= {"/api/v1/nodes": [node()], PODS: [stays, pod("uid-4")]}
    with anyio.fail_after(10):
        assert (await KIND.healed(FAULT, reach))["ready"] is True


async def test_what_was_on_a_stopped_node_is_back_with_new_containers() -> None:
    stays = {**pod("uid-2"), "status": {**pod()["status"], "containerStatuses": [{"containerID": "containerd://1"}]}}
    cluster = Cluster(pod("uid-1"), stays)
    reach = there(cluster)
    await KIND.inject(FAULT, reach)
    cluster.objects |= {"/api/v1/nodes": [node()], PODS: [stays, pod("uid-4")]}
    with anyio.move_on_after(0.05) as waiting:
        await KIND.healed(FAULT, reach)
    assert waiting.cancelled_caught


def test_who_may_reclaim_a_node_may_evict() -> None:
    assert {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]} in KIND.rights


async def test_a_node_that_comes_back_at_another_address_is_not_healed() -> None:
    cluster = Cluster()
    reach = there(cluster)
    await KIND.inject(FAULT, reach)
    reach.healer.addresses = ["198.51.100.8"]  # type: ignore[attr-defined]
    with pytest.raises(UndoFailed, match="came back with another address"):
        await KIND.healed(FAULT, reach)
