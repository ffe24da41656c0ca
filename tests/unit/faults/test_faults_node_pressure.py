"""A node reports that its memory runs out: by its kubelet's options alone, and what may have to go is planned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.errors import InjectionFailed
from harness.faults import FAULTS
from harness.faults.node_pressure import CONDITION, TAINT
from harness.hands.host import inside
from harness.model.plan import PlannedFault, Victim
from harness.targets.pods import Fate
from harness.targets.reach import Reach
from harness.workloads.pod import MIRROR
from tests.unit.faults.keeper import Keeper
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import PODS, planned, web
from tests.unit.targets.fakes import CLUSTER, NODE, node, reference

pytestmark = pytest.mark.anyio
KIND = FAULTS["node_pressure"]
PATH = "/api/v1/nodes/worker"
SOFT = "--eviction-soft=memory.available<1Pi"
WEB = ("uid-0", "uid-1")


class Cluster(Server):
    """A node with two web servers; its pods are also listed over all namespaces."""

    def __init__(self) -> None:
        super().__init__({**web(2), PATH: node()})

    async def list_at(self, path: str, **more: Any) -> tuple[list[dict[str, Any]], str]:
        return await super().list_at(PODS if path == "/api/v1/pods" else path, **more)

    async def get_text(self, path: str) -> str:
        return "ok"

    def says(self, *, pressure: bool, tainted: bool) -> None:
        item = self.objects[PATH]
        ready, *_ = item["status"]["conditions"]
        item["status"]["conditions"] = [ready, {"type": CONDITION, "status": str(pressure)}]
        item["spec"]["taints"] = [{"key": TAINT, "effect": "NoSchedule"}] if tainted else []

    def pod(self, uid: str) -> dict[str, Any]:
        found: dict[str, Any] = self.objects[f"{PODS}/web-{uid}"]
        return found


def there() -> tuple[Cluster, Keeper, Reach]:
    server, keeper = Cluster(), Keeper()
    return server, keeper, Reach(server, healer=keeper, cluster=CLUSTER)  # type: ignore[arg-type]


def fault(*going: str, **parameters: Any) -> PlannedFault:
    takes = tuple(Victim("pod", f"web-{uid}", uid, "shop", "worker") for uid in going)
    return replace(planned("node_pressure", NODE, **parameters), takes=takes)


@pytest.mark.parametrize(("evicts", "grace"), [(False, "720h"), (True, "1s")])
async def test_one_order_raises_the_threshold_and_its_undo_is_known_before(evicts: bool, grace: str) -> None:
    one = fault(*WEB, evicts=evicts)
    _, keeper, reach = there()
    assert KIND.undo(one, reach) == [inside.relief("c-worker", "run-1")]
    await KIND.inject(one, reach)
    options = [SOFT, f"--eviction-soft-grace-period=memory.available={grace}"]
    assert keeper.done == [inside.pressure("c-worker", "run-1", options)]
    await KIND.heal(one, reach)
    assert keeper.healed == [one.id]


async def test_a_node_that_says_so_already_is_left_alone() -> None:
    server, keeper, reach = there()
    server.says(pressure=True, tainted=True)
    with pytest.raises(InjectionFailed, match="reports MemoryPressure already"):
        await KIND.inject(fault(*WEB), reach)
    assert keeper.done == []


@pytest.mark.parametrize(("pressure", "tainted"), [(False, False), (True, False), (False, True)])
async def test_it_is_felt_and_healed_by_the_nodes_word_and_its_taint(pressure: bool, tainted: bool) -> None:
    one = fault(*WEB)
    server, _, reach = there()
    await KIND.inject(one, reach)
    server.says(pressure=pressure, tainted=tainted)
    with anyio.move_on_after(0.05) as waiting:
        await KIND.felt(one, reach)
    assert waiting.cancelled_caught
    server.says(pressure=True, tainted=True)
    assert await KIND.felt(one, reach) == {"pressure": True, "tainted": True}
    server.says(pressure=not pressure, tainted=not tainted)
    with anyio.move_on_after(0.05) as waiting:
        await KIND.healed(one, reach)
    assert waiting.cancelled_caught
    server.says(pressure=False, tainted=False)
    healed = await KIND.healed(one, reach)
    assert healed == {"pressure": False, "tainted": False, "ready": True, "pods_ready": 2, "owners": []}


async def test_evictions_are_felt_by_a_planned_pod_that_went_and_healed_by_its_workload() -> None:
    one = fault(*WEB, evicts=True)
    server, _, reach = there()
    await KIND.inject(one, reach)
    server.says(pressure=True, tainted=True)
    with anyio.move_on_after(0.05) as waiting:
        await KIND.felt(one, reach)
    assert waiting.cancelled_caught
    before = server.pod("uid-0")["status"]
    server.pod("uid-0")["status"] = {"phase": "Failed", "reason": "Evicted"}
    assert (await KIND.felt(one, reach))["evicted"] == "shop/web-uid-0"  # type: ignore[index]
    server.says(pressure=False, tainted=False)
    with anyio.move_on_after(0.05) as waiting:
        await KIND.healed(one, reach)
    assert waiting.cancelled_caught
    server.pod("uid-0")["status"] = before
    owner = {"owner": "Deployment/web", "ready": 2, "desired": 2}
    assert (await KIND.healed(one, reach))["owners"] == [owner]


async def test_no_pod_that_may_go_proves_no_eviction() -> None:
    server, _, reach = there()
    server.says(pressure=True, tainted=True)
    assert await KIND.felt(fault(evicts=True), reach) is None


@pytest.mark.parametrize("evicts", [False, True])
async def test_a_pod_that_would_have_to_go_and_is_not_planned_keeps_it_from_being_done(evicts: bool) -> None:
    server, keeper, reach = there()
    server.pod("uid-1")["status"]["qosClass"] = "BestEffort"
    with pytest.raises(InjectionFailed, match="the plan does not name: shop/web-uid-1"):
        await KIND.inject(fault("uid-0", evicts=evicts), reach)
    assert keeper.done == []


async def test_a_pod_that_nobody_would_replace_is_spared() -> None:
    server, keeper, reach = there()
    server.pod("uid-0")["metadata"]["ownerReferences"] = reference("ReplicaSet", "gone")
    with pytest.raises(InjectionFailed, match="nothing would replace this pod: shop/web-uid-0"):
        await KIND.inject(fault(*WEB, evicts=True), reach)
    assert keeper.done == []
    await KIND.inject(fault(*WEB), reach)
    assert len(keeper.done) == 1


@pytest.mark.parametrize(
    ("metadata", "spec", "phase", "reached"),
    [
        ({}, {}, "Running", True),
        ({}, {"priority": 1_000_000_000}, "Running", True),
        ({}, {"priority": 2_000_000_000}, "Running", False),
        ({"annotations": {MIRROR: "uid"}}, {}, "Running", False),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, {}, "Running", False),
        ({}, {}, "Succeeded", False),
    ],
)
def test_every_pod_that_is_neither_critical_nor_static_is_reached(
    metadata: dict[str, Any], spec: dict[str, Any], phase: str, reached: bool
) -> None:
    assert KIND.reaches
    assert KIND.reaches({}, {"metadata": metadata, "spec": spec, "status": {"phase": phase}}) is reached


@pytest.mark.parametrize(
    ("evicts", "quality", "becomes"),
    [
        (False, "Burstable", Fate.STAYS),
        (False, "BestEffort", Fate.EVICTED),
        (True, "Guaranteed", Fate.EVICTED),
    ],
)
def test_who_may_have_to_go_is_known_before(evicts: bool, quality: str, becomes: Fate) -> None:
    assert KIND.fate(fault(evicts=evicts), {"status": {"qosClass": quality}}) is becomes


def test_its_pods_count_against_the_cap() -> None:
    assert KIND.spends
