"""A node is tainted with a key of the fault's own, and exactly this taint is taken off again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.errors import InjectionFailed
from harness.faults import FAULTS
from harness.faults.node_taint import key
from harness.model.plan import PlannedFault, Victim
from harness.targets.pods import Fate
from tests.unit.faults.recorded import elsewhere, injected
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import PODS, planned, web
from tests.unit.targets.fakes import NODE, node, reference

pytestmark = pytest.mark.anyio
KIND = FAULTS["node_taint"]
PATH = "/api/v1/nodes/worker"
THEIRS = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
OURS = {"key": "chaos.harness.dev/run-1", "effect": "NoSchedule"}


class Cluster(Server):
    """A cluster whose pods are also listed over all namespaces, as those of its one node."""

    async def list_at(self, path: str, **more: Any) -> tuple[list[dict[str, Any]], str]:
        return await super().list_at(PODS if path == "/api/v1/pods" else path, **more)


def cluster(*taints: dict[str, Any]) -> Cluster:
    return Cluster({**web(2), PATH: node(**({"taints": list(taints)} if taints else {}))})


def fault(effect: str = "NoSchedule", *going: str) -> PlannedFault:
    takes = tuple(Victim("pod", f"web-{uid}", uid, "shop", "worker") for uid in going)
    return replace(planned("node_taint", NODE, effect=effect), takes=takes)


def taints(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.objects[PATH]["spec"].get("taints") or []
    return found


@pytest.mark.parametrize("before", [[], [THEIRS]])
async def test_exactly_the_faults_own_taint_comes_and_goes(before: list[dict[str, Any]]) -> None:
    server, one = cluster(*before), fault()
    reach = await injected(server, one)
    assert taints(server) == [*before, OURS]
    assert await KIND.felt(one, reach) == {"tainted": True}
    for _ in range(2):
        await elsewhere(server, reach, one)
    assert taints(server) == before
    assert await KIND.healed(one, reach) == {"tainted": False, "owners": []}


async def test_a_taint_that_came_meanwhile_in_front_of_it_stays() -> None:
    server, one = cluster(), fault()
    reach = await injected(server, one)
    taints(server).insert(0, THEIRS)
    server.meanwhile = lambda server: taints(server).insert(0, {**THEIRS, "key": "other"})
    await elsewhere(server, reach, one)
    assert [one["key"] for one in taints(server)] == ["other", "dedicated"]


async def test_a_first_taint_is_not_written_over_one_that_somebody_just_made() -> None:
    server, one = cluster(), fault()

    def meanwhile(server: Server) -> None:
        server.objects[PATH]["spec"]["taints"] = [THEIRS]
        server.objects[PATH]["metadata"]["resourceVersion"] = "8"

    server.meanwhile = meanwhile
    await injected(server, one)
    assert taints(server) == [THEIRS, OURS]


async def test_a_node_that_is_gone_is_healed() -> None:
    server, one = cluster(), fault()
    reach = await injected(server, one)
    await server.delete(PATH)
    await elsewhere(server, reach, one)
    assert await KIND.healed(one, reach) == {"node": "gone", "owners": []}


async def test_pods_that_have_to_leave_are_felt_and_waited_for() -> None:
    server, one = cluster(), fault("NoExecute", "uid-0", "uid-1")
    reach = await injected(server, one)
    server.objects[f"{PODS}/web-uid-0"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert await KIND.felt(one, reach) == {"tainted": True, "going": "shop/web-uid-0"}
    del server.objects[f"{PODS}/web-uid-0"]["metadata"]["deletionTimestamp"]
    await elsewhere(server, reach, one)
    found = await KIND.healed(one, reach)
    assert found["owners"] == [{"owner": "Deployment/web", "ready": 2, "desired": 2}]


async def test_a_daemon_set_is_waited_for_although_it_wants_less_while_its_node_is_tainted() -> None:
    daemons = "/apis/apps/v1/namespaces/shop/daemonsets/log"
    pod = {**web(1)[f"{PODS}/web-uid-0"]}
    pod["metadata"] = {**pod["metadata"], "ownerReferences": reference("DaemonSet", "log")}
    log = {"metadata": {"name": "log", "namespace": "shop", "uid": "uid-log", "generation": 1}}
    status = {"desiredNumberScheduled": 1, "observedGeneration": 1}
    server = Cluster({f"{PODS}/web-uid-0": pod, daemons: {**log, "spec": {}, "status": status}, PATH: node()})
    one = fault("NoExecute", "uid-0")
    reach = await injected(server, one)
    await server.delete(f"{PODS}/web-uid-0")
    server.objects[daemons]["status"]["desiredNumberScheduled"] = 0
    await elsewhere(server, reach, one)
    with anyio.move_on_after(0.1) as waiting:
        await KIND.healed(one, reach)
    assert waiting.cancelled_caught
    server.objects[f"{PODS}/web-uid-0"] = pod
    assert (await KIND.healed(one, reach))["owners"] == [{"owner": "DaemonSet/log", "ready": 1, "desired": 1}]


async def test_no_pod_that_would_leave_proves_nothing() -> None:
    server, one = Cluster({PATH: node()}), fault("NoExecute")
    assert await KIND.felt(one, await injected(server, one)) is None


async def test_a_pod_that_came_after_the_plan_keeps_the_fault_from_being_made() -> None:
    server = cluster()
    with pytest.raises(InjectionFailed, match="the plan does not name: shop/web-uid-1"):
        await injected(server, fault("NoExecute", "uid-0"))
    assert taints(server) == []


async def test_a_pod_that_nobody_would_replace_is_spared() -> None:
    server, one = cluster(), fault("NoExecute", "uid-0", "uid-1")
    server.objects[f"{PODS}/web-uid-0"]["metadata"]["ownerReferences"] = reference("ReplicaSet", "gone")
    with pytest.raises(InjectionFailed, match="nothing would replace this pod: shop/web-uid-0"):
        await injected(server, one)
    assert taints(server) == []


EVERY = {"operator": "Exists"}


@pytest.mark.parametrize(
    ("effect", "tolerations", "goes"),
    [
        ("NoSchedule", [], False),
        ("NoExecute", [], True),
        ("NoExecute", [EVERY], False),
        ("NoExecute", [{**EVERY, "effect": "NoExecute"}], False),
        ("NoExecute", [{**EVERY, "effect": "NoSchedule"}], True),
        ("NoExecute", [{**EVERY, "tolerationSeconds": 9}], True),
        ("NoExecute", [{**EVERY, "key": "node.kubernetes.io/not-ready"}], True),
    ],
)
def test_what_does_not_tolerate_every_key_leaves(effect: str, tolerations: list[Any], goes: bool) -> None:
    assert KIND.reaches
    pod = {"metadata": {}, "spec": {"tolerations": tolerations}}
    assert KIND.reaches({"effect": effect}, pod) is goes
    assert KIND.fate(fault("NoExecute"), pod) is Fate.EVICTED


def test_a_long_name_makes_a_key_that_kubernetes_takes() -> None:
    named = key(replace(fault(), id="A_" * 60 + "-1"))
    name = named.partition("/")[2]
    assert len(name) <= 63
    assert name[0].isalnum()
    assert name.endswith("-1")
