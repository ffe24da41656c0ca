"""Nodes that are cut off, restarted or left without kubelet or runtime: by one order, felt and healed from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.errors import ApiError, InjectionFailed, UndoFailed
from harness.faults import FAULTS, runtime_stop
from harness.hands.host import inside
from harness.model.plan import PlannedFault, Victim
from harness.targets import nodes, zones
from harness.targets.pods import Fate
from harness.targets.reach import Reach
from tests.unit.faults.keeper import Keeper
from tests.unit.targets.fakes import CLUSTER, NODE, planned

pytestmark = pytest.mark.anyio


class Cluster:
    """Nodes of zone a with one ready pod each.

    Those in `silent` do not answer, those in `unready` are not Ready, for what `said` says, and kubelets of those in
    `mute` do not hear from their runtime.
    """

    context = "here"

    def __init__(self, *names: str) -> None:
        self.names = names
        self.silent: set[str] = set()
        self.unready: set[str] = set()
        self.mute: set[str] = set()
        self.said = ""
        self.container = "first"

    def node(self, name: str) -> dict[str, Any]:
        status = {"conditions": [{"type": "Ready", "status": str(name not in self.unready), "message": self.said}]}
        return {"metadata": {"name": name, "uid": uid(name), "labels": {zones.LABEL: "a"}}, "status": status}

    def pod(self, name: str) -> dict[str, Any]:
        status = {
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"containerID": f"{self.container}-{name}"}],
        }
        return {"metadata": {"name": f"web-{name}", "uid": f"uid-web-{name}"}, "status": status}

    async def get(self, path: str) -> dict[str, Any]:
        return self.node(path.rpartition("/")[2])

    async def get_text(self, path: str) -> str:
        if path.startswith("/api/v1/nodes/") and path.split("/")[4] in self.silent:
            raise ApiError(503, "ServiceUnavailable", "no route to host")
        if path.endswith("/proxy/runningpods/") and path.split("/")[4] in self.mute:
            raise ApiError(500, "InternalError", "rpc error: code = Unavailable")
        return "ok"

    async def list(self, path: str, *, fields: str = "", **_: Any) -> list[dict[str, Any]]:
        make = self.node if path == "/api/v1/nodes" else self.pod
        return [make(name) for name in self.names if not fields or fields.endswith(f"={name}")]

    async def list_at(self, path: str, *, fields: str = "", **_: Any) -> tuple[list[dict[str, Any]], str]:
        return await self.list(path, fields=fields), "1"

    async def watch(self, path: str, **_: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        await anyio.sleep_forever()
        yield "", {}


def uid(name: str) -> str:
    return NODE.uid if name == "worker" else f"uid-{name}"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (nodes, runtime_stop):
        monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)


def there(*names: str) -> tuple[Cluster, Keeper, Reach]:
    cluster, keeper = Cluster(*names), Keeper()
    local = replace(CLUSTER, nodes={name: f"c-{name}" for name in names})
    return cluster, keeper, Reach(cluster, healer=keeper, cluster=local)  # type: ignore[arg-type]


def outage(*names: str) -> PlannedFault:
    takes = tuple(Victim("node", name, uid(name), node=name, zone="a") for name in names)
    zone = Victim("zone", "a", ",".join(sorted(map(uid, names))), zone="a")
    return replace(planned("zone_outage"), victim=zone, takes=takes)


ORDERS = {
    "node_disconnect": ([inside.network("c-worker", "run-1", "cut")], [inside.network("c-worker", "run-1", "mend")]),
    "kubelet_stop": ([inside.unit("c-worker", "kubelet", "stop")], [inside.unit("c-worker", "kubelet", "start")]),
    "runtime_stop": ([inside.unit("c-worker", "containerd", "stop")], [inside.unit("c-worker", "containerd", "start")]),
    "node_stop": ([{"op": "stop", "container": "c-worker"}], [{"op": "start", "container": "c-worker"}]),
    "node_restart": (
        [{"op": "stop", "container": "c-worker"}, {"op": "start", "container": "c-worker"}],
        [{"op": "start", "container": "c-worker"}],
    ),
}


@pytest.mark.parametrize("kind", ORDERS)
async def test_one_order_does_it_and_its_undo_is_known_before(kind: str) -> None:
    fault = planned(kind)
    _, keeper, reach = there("worker")
    done, undo = ORDERS[kind]
    assert FAULTS[kind].undo(fault, reach) == undo
    await FAULTS[kind].inject(fault, reach)
    assert keeper.done == done
    await FAULTS[kind].heal(fault, reach)
    assert keeper.healed == [fault.id]


@pytest.mark.parametrize("kind", ORDERS)
async def test_a_node_that_is_not_well_to_begin_with_is_left_alone(kind: str) -> None:
    for ailing in ("silent", "unready"):
        cluster, keeper, reach = there("worker")
        getattr(cluster, ailing).add("worker")
        with pytest.raises(InjectionFailed, match="not ready to begin with"):
            await FAULTS[kind].inject(planned(kind), reach)
        assert keeper.done == []


@pytest.mark.parametrize("kind", [name for name in ORDERS if name != "runtime_stop"])
async def test_it_is_felt_when_the_kubelet_is_silent_and_not_before(kind: str) -> None:
    fault = planned(kind)
    cluster, _, reach = there("worker")
    with anyio.move_on_after(0.05) as waiting:
        await FAULTS[kind].felt(fault, reach)
    assert waiting.cancelled_caught
    cluster.silent.add("worker")
    assert await FAULTS[kind].felt(fault, reach) == {"kubelet": "silent", "ready": True}


@pytest.mark.parametrize("kind", ORDERS)
async def test_it_is_healed_when_the_node_answers_and_is_ready(kind: str) -> None:
    fault = planned(kind)
    cluster, _, reach = there("worker")
    await FAULTS[kind].inject(fault, reach)
    cluster.container = "second"
    for ailing in (cluster.silent, cluster.unready):
        ailing.add("worker")
        with anyio.move_on_after(0.05) as waiting:
            await FAULTS[kind].healed(fault, reach)
        assert waiting.cancelled_caught
        ailing.clear()
    assert await FAULTS[kind].healed(fault, reach) == {"ready": True, "pods_ready": 1}


async def test_a_runtime_is_missed_by_a_kubelet_that_answers_and_not_by_one_that_does_not() -> None:
    fault, kind = planned("runtime_stop"), FAULTS["runtime_stop"]
    cluster, _, reach = there("worker")
    for silent in (set(), {"worker"}):
        cluster.silent = silent
        with anyio.move_on_after(0.05) as waiting:
            await kind.felt(fault, reach)
        assert waiting.cancelled_caught
    cluster.silent, cluster.mute = set(), {"worker"}
    assert await kind.felt(fault, reach) == {"runtime": "its kubelet lists no containers", "ready": True}


async def test_a_runtime_is_missed_by_a_node_that_is_not_ready_for_it_and_for_nothing_else() -> None:
    fault, kind = planned("runtime_stop"), FAULTS["runtime_stop"]
    cluster, _, reach = there("worker")
    cluster.unready, cluster.said = {"worker"}, "[container runtime network not ready]"
    with anyio.move_on_after(0.05) as waiting:
        await kind.felt(fault, reach)
    assert waiting.cancelled_caught
    cluster.said = "[container runtime is down, PLEG is not healthy: pleg was last seen active 3m1s ago]"
    assert await kind.felt(fault, reach) == {"runtime": "container runtime is down", "ready": False}


async def test_a_kubelet_that_does_not_list_its_containers_to_begin_with_is_left_alone_and_is_not_healed() -> None:
    fault, kind = planned("runtime_stop"), FAULTS["runtime_stop"]
    cluster, keeper, reach = there("worker")
    cluster.mute = {"worker"}
    with pytest.raises(InjectionFailed, match="does not list its containers"):
        await kind.inject(fault, reach)
    assert keeper.done == []
    with anyio.move_on_after(0.05) as waiting:
        await kind.healed(fault, reach)
    assert waiting.cancelled_caught


async def test_a_kubelet_that_may_not_be_asked_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, reach = there("worker")

    async def refused(path: str) -> str:
        raise ApiError(403, "Forbidden", path)

    monkeypatch.setattr(reach.kube, "get_text", refused)
    for ask in (FAULTS["runtime_stop"].felt, FAULTS["runtime_stop"].healed):
        with pytest.raises(ApiError, match="runningpods"):
            await ask(planned("runtime_stop"), reach)


@pytest.mark.parametrize("kind", ["node_stop", "node_restart"])
async def test_a_node_that_was_stopped_is_healed_by_new_containers_at_its_old_address(kind: str) -> None:
    fault = planned(kind)
    _, keeper, reach = there("worker")
    await FAULTS[kind].inject(fault, reach)
    with anyio.move_on_after(0.05) as waiting:
        await FAULTS[kind].healed(fault, reach)
    assert waiting.cancelled_caught
    keeper.addresses = ["198.51.100.8"]
    with pytest.raises(UndoFailed, match="came back with another address"):
        await FAULTS[kind].healed(fault, reach)


@pytest.mark.parametrize("kind", ["node_stop", "node_restart"])
def test_a_pod_that_does_not_start_again_goes_with_its_node(kind: str) -> None:
    pod = {"spec": {"containers": [{"name": "web"}], "restartPolicy": "Always"}}
    assert FAULTS[kind].fate(planned(kind), pod) is Fate.RESTARTED
    assert FAULTS[kind].fate(planned(kind), {"spec": {**pod["spec"], "restartPolicy": "Never"}}) is Fate.GONE


async def test_a_zone_is_cut_off_by_one_order_for_all_its_nodes_and_mended_as_one() -> None:
    fault, kind = outage("worker", "worker2"), FAULTS["zone_outage"]
    _, keeper, reach = there("worker", "worker2")
    facts = await kind.inject(fault, reach)
    containers = ["c-worker", "c-worker2"]
    assert keeper.done == [inside.network(name, "run-1", "cut") for name in containers]
    assert kind.undo(fault, reach) == [inside.network(name, "run-1", "mend") for name in containers]
    assert facts == {"zone": "a", "nodes": "worker, worker2"}


async def test_no_node_of_a_zone_is_cut_off_when_one_is_not_well() -> None:
    cluster, keeper, reach = there("worker", "worker2")
    cluster.unready.add("worker2")
    with pytest.raises(InjectionFailed, match="not ready to begin with"):
        await FAULTS["zone_outage"].inject(outage("worker", "worker2"), reach)
    assert keeper.done == []


async def test_a_zone_without_a_planned_node_is_no_outage() -> None:
    _, keeper, reach = there("worker")
    with pytest.raises(InjectionFailed, match="other nodes than the plan names"):
        await FAULTS["zone_outage"].inject(replace(outage("worker"), takes=()), reach)
    assert keeper.done == []


async def test_an_outage_is_felt_when_every_node_is_lost_and_healed_when_every_node_is_back() -> None:
    fault, kind = outage("worker", "worker2"), FAULTS["zone_outage"]
    cluster, _, reach = there("worker", "worker2")
    await kind.inject(fault, reach)
    cluster.silent.add("worker")
    with anyio.move_on_after(0.05) as waiting:
        await kind.felt(fault, reach)
    assert waiting.cancelled_caught
    cluster.unready.add("worker2")
    assert await kind.felt(fault, reach) == {"worker": "silent", "worker2": "not ready"}
    cluster.unready.clear()
    with anyio.move_on_after(0.05) as waiting:
        await kind.healed(fault, reach)
    assert waiting.cancelled_caught
    cluster.silent.clear()
    assert await kind.healed(fault, reach) == {"nodes": "worker, worker2", "ready": True, "pods_ready": 2}
