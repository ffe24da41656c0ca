"""What faults decide without a cluster: who replaces a pod, which budget covers it, what the undo is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cluster.local import LocalCluster
from harness.errors import ApiError, ClusterUnreachable, InjectionFailed, PreconditionFailed
from harness.faults import KINDS, REGISTRY, Reach, crds, eviction, inside, nodes, observe, pods, resource
from harness.faults.container_kill import choose
from harness.faults.node_drain import evictable
from harness.faults.pod_freeze import address
from harness.keeper.resident.docker import check
from harness.model import catalogue
from harness.model.fault import Hand
from harness.model.plan import PlannedFault, Victim

CLUSTER = LocalCluster("c", Path("k"), "unix:///d", "net", {"worker": "c-worker"}, "c-control-plane", Path("s"))
POD = Victim("pod", "web-1", "uid-1", "shop", "worker", "a", "Deployment/web", "web")
NODE = Victim("node", "worker", "uid-n", node="worker", zone="a")
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


def planned(kind: str, **parameters: Any) -> PlannedFault:
    victim = NODE if catalogue.FAULTS[kind].target == "node" else POD
    return PlannedFault("run-1", kind, "an activity", REGISTRY[kind].hand, victim, parameters)


def pod(uid: str = "uid-1", *, ready: bool = True, going: bool = False, owner: str = "ReplicaSet") -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": f"web-{uid}", "uid": uid, "namespace": "shop", "labels": {"app": "web"}}
    metadata["ownerReferences"] = [{"kind": owner, "name": "web-abc", "controller": True, "apiVersion": "apps/v1"}]
    if going:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": metadata, "spec": {"containers": [{"name": "web"}]}, "status": {"conditions": conditions}}


class FakeKube:
    """Objects by path, and a list of states that a watch goes through."""

    def __init__(self, objects: dict[str, Any] | None = None, changes: list[tuple[str, dict[str, Any]]] | None = None):
        self.objects, self.changes = objects or {}, changes or []
        self.posted: list[str] = []
        self.answers: list[int] = []
        self.patched: list[tuple[str, Any]] = []
        self.deleted: list[str] = []
        self.failures: list[Exception] = []

    async def get(self, path: str, **_: Any) -> dict[str, Any]:
        if path not in self.objects:
            raise ApiError(404, "NotFound", "", where=path)
        return self.objects[path]

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        return (await self.list_at(path))[0]

    async def list_at(self, path: str, **_: Any) -> tuple[list[dict[str, Any]], str]:
        if self.failures:
            raise self.failures.pop(0)
        return list(self.objects.get(path, [])), "1"

    async def watch(self, path: str, **_: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        for change in self.changes:
            await anyio.sleep(0)
            yield change
        await anyio.sleep_forever()

    async def post(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        self.posted.append(path)
        return self.answers.pop(0), {"message": "said so"}

    async def patch(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        self.patched.append((path, body))
        return {}

    async def create(self, path: str, body: Any) -> dict[str, Any]:
        if self.failures:
            raise self.failures.pop(0)
        return dict(body)

    async def delete(self, path: str, **_: Any) -> dict[str, Any]:
        self.deleted.append(path)
        raise ApiError(404, "NotFound", "")


def reach(kube: FakeKube, cluster: LocalCluster | None = CLUSTER, **more: Any) -> Reach:
    return Reach(kube, None, cluster, **more)  # type: ignore[arg-type]


# -- registry and catalogue -----------------------------------------------------------------------------------------


def test_every_fault_of_the_catalogue_can_be_injected_and_no_other():
    assert set(KINDS) == set(catalogue.FAULTS) == set(REGISTRY)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_says_the_same_of_itself_as_the_catalogue(kind):
    assert (REGISTRY[kind].kind, REGISTRY[kind].hand) == (kind, catalogue.FAULTS[kind].hand)


def test_an_unknown_kind_is_not_imported():
    with pytest.raises(KeyError):
        REGISTRY["reach"]


# -- undo -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_keeper_knows_every_operation_of_every_undo(kind):
    undo = REGISTRY[kind].undo(planned(kind), reach(FakeKube()))
    assert check(undo) == undo


@pytest.mark.parametrize("kind", [kind for kind in KINDS if catalogue.FAULTS[kind].hand is Hand.HOST])
def test_a_fault_of_the_host_has_an_undo_and_needs_the_keeper(kind):
    assert REGISTRY[kind].undo(planned(kind), reach(FakeKube()))
    with pytest.raises(PreconditionFailed, match="keeper"):
        anyio.run(REGISTRY[kind].inject, planned(kind), reach(FakeKube()))


@pytest.mark.parametrize("kind", ["node_freeze", "node_stop"])
def test_the_undo_of_a_node_fault_names_the_nodes_container(kind):
    assert REGISTRY[kind].undo(planned(kind), reach(FakeKube()))[0]["container"] == "c-worker"


def test_a_cordon_is_undone_in_the_control_plane_and_only_for_its_own_fault():
    (op,) = REGISTRY["node_cordon"].undo(planned("node_cordon"), reach(FakeKube()))
    assert op["container"] == "c-control-plane"
    assert op["argv"][-2:] == ["worker", "run-1"]
    assert REGISTRY["node_cordon"].undo(planned("node_cordon"), reach(FakeKube(), cluster=None)) == []


def test_a_thaw_counts_as_done_on_a_stopped_node_and_a_freeze_does_not():
    assert inside.freezer("n", "u", "thaw")["stopped"] == "healed"
    assert "stopped" not in inside.freezer("n", "u", "freeze")


# -- pods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "picked"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
        ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
    ],
)
def test_a_selector_picks_as_the_api_server_does(selector, picked):
    assert pods.selects(selector, {"app": "web"}) is picked


def test_a_selector_is_written_as_a_query():
    terms = [{"key": "a", "operator": "In", "values": ["1", "2"]}, {"key": "b", "operator": "DoesNotExist"}]
    assert pods.selector_text({"matchLabels": {"app": "web"}, "matchExpressions": terms}) == "app=web,a in (1,2),!b"


def test_a_terminating_pod_is_not_ready():
    assert pods.is_ready(pod())
    assert not pods.is_ready(pod(going=True))
    assert not pods.is_ready(pod(ready=False))


def web(replicas: int = 2) -> dict[str, Any]:
    reference = {"kind": "Deployment", "name": "web", "controller": True, "apiVersion": "apps/v1"}
    selector = {"matchLabels": {"app": "web"}}
    root = "/apis/apps/v1/namespaces/shop"
    return {
        f"{root}/replicasets/web-abc": {"metadata": {"ownerReferences": [reference]}, "spec": {"selector": selector}},
        f"{root}/deployments/web": {"metadata": {}, "spec": {"replicas": replicas, "selector": selector}},
    }


async def test_the_owner_of_a_pod_is_the_topmost_workload():
    owner = await pods.owner_of(FakeKube(web()), pod())  # type: ignore[arg-type]
    assert owner is not None
    assert (str(owner), owner.selector) == ("Deployment/web", "app=web")
    lonely = pod()
    del lonely["metadata"]["ownerReferences"]
    assert await pods.owner_of(FakeKube(web()), lonely) is None  # type: ignore[arg-type]


PODS = "/api/v1/namespaces/shop/pods"


async def test_a_pod_that_nothing_would_replace_is_not_killed():
    lonely = pod()
    del lonely["metadata"]["ownerReferences"]
    kube = FakeKube({f"{PODS}/web-1": lonely})
    with pytest.raises(InjectionFailed, match="replace"):
        await REGISTRY["pod_kill"].inject(planned("pod_kill"), reach(kube))
    assert kube.deleted == []


async def test_a_kill_is_felt_when_the_pod_goes_and_another_comes():
    kube = FakeKube(
        {PODS: [pod("uid-1"), pod("uid-2")]},
        [("MODIFIED", pod("uid-1", going=True)), ("ADDED", pod("uid-3", ready=False)), ("DELETED", pod("uid-1"))],
    )
    there = reach(kube)
    there.note(planned("pod_kill")).update(before={"uid-1", "uid-2"})
    with anyio.fail_after(5):
        facts = await pods.removed(planned("pod_kill"), there)
    assert facts == {"uid": "uid-1", "state": "terminating", "replacement": "web-uid-3", "replacement_uid": "uid-3"}


async def test_a_kill_is_not_felt_while_the_pod_stays():
    kube = FakeKube({PODS: [pod("uid-1")]}, [("ADDED", pod("uid-3"))])
    with anyio.move_on_after(0.1) as scope:
        await pods.removed(planned("pod_kill"), reach(kube))
    assert scope.cancelled_caught


async def test_a_workload_is_complete_only_without_the_pod_that_was_killed():
    kube = FakeKube({**web(), PODS: [pod("uid-1"), pod("uid-2")]}, [("ADDED", pod("uid-3"))])
    there = reach(kube)
    owner = await pods.owner_of(there.kube, pod())
    there.note(planned("pod_kill")).update(owner=owner)
    with anyio.fail_after(5):
        facts = await pods.replaced(planned("pod_kill"), there)
    assert facts == {"owner": "Deployment/web", "ready": 2, "desired": 2}


async def test_a_watch_that_breaks_is_begun_anew(monkeypatch):
    monkeypatch.setattr(observe, "RELIST_SECONDS", 0)
    kube = FakeKube({PODS: [pod()]})
    kube.failures = [ClusterUnreachable("away"), ApiError(410, "Expired", ""), ApiError(503, "Unavailable", "")]

    async def judge(found: observe.Objects) -> int | None:
        return len(found) or None

    assert await observe.until(kube, PODS, judge) == 1  # type: ignore[arg-type]


async def test_a_watch_that_is_forbidden_is_an_error():
    kube = FakeKube()
    kube.failures = [ApiError(403, "Forbidden", "")]

    async def judge(found: observe.Objects) -> int | None:
        return None

    with pytest.raises(ApiError):
        await observe.until(kube, PODS, judge)  # type: ignore[arg-type]


# -- eviction -------------------------------------------------------------------------------------------------------

BUDGET = {
    "metadata": {"name": "web"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}},
    "status": {"disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 2},
}
BUDGETS = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets"


async def test_a_refused_eviction_is_an_answer_with_its_arithmetic():
    kube = FakeKube({BUDGETS: [BUDGET]})
    kube.answers, seen = [429], []
    facts = await eviction.evict(reach(kube, emit=lambda kind, data: seen.append((kind, data))), pod(), deadline=0)
    assert (facts["status"], facts["attempts"]) == (429, 1)
    ((kind, data),) = seen
    assert kind == "eviction"
    assert (data["status"], data["allowed"], data["healthy"], data["desired"]) == (429, 0, 2, 2)


async def test_a_refused_eviction_is_asked_again_until_its_deadline(monkeypatch):
    monkeypatch.setattr(eviction, "RETRY_SECONDS", 0)
    kube = FakeKube()
    kube.answers = [429, 429, 201]
    facts = await eviction.evict(reach(kube), pod(), deadline=60)
    assert (facts["status"], facts["attempts"], facts["budget"]) == (201, 3, None)


async def test_an_eviction_that_two_budgets_claim_is_told_apart():
    kube = FakeKube()
    kube.answers = [500]
    assert (await eviction.evict(reach(kube), pod(), deadline=60))["status"] == 500


async def test_an_eviction_that_is_forbidden_is_an_error():
    kube = FakeKube()
    kube.answers = [403]
    with pytest.raises(ApiError):
        await eviction.evict(reach(kube), pod(), deadline=0)


async def test_a_run_that_lost_its_right_evicts_nothing():
    kube = FakeKube()

    async def guard() -> None:
        raise PreconditionFailed("no right")

    with pytest.raises(PreconditionFailed):
        await eviction.evict(reach(kube, guard=guard), pod(), deadline=0)
    assert kube.posted == []


async def test_a_refused_eviction_needs_no_healing():
    fault, there = planned("pod_evict"), reach(FakeKube())
    there.note(fault).update(status=429, message="no")
    assert await REGISTRY["pod_evict"].felt(fault, there) == {"status": 429, "message": "no"}
    assert await REGISTRY["pod_evict"].healed(fault, there) == {"refused": True}


# -- nodes ----------------------------------------------------------------------------------------------------------


def node(**spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True"}]
    metadata = {"name": "worker", "uid": "uid-n", "resourceVersion": "7", "labels": {}}
    return {"metadata": metadata, "spec": spec, "status": {"conditions": conditions}}


async def test_a_node_that_is_cordoned_already_is_refused():
    kube = FakeKube({"/api/v1/nodes/worker": node(unschedulable=True)})
    with pytest.raises(InjectionFailed, match="cordoned already"):
        await nodes.cordon(planned("node_cordon"), reach(kube))
    assert kube.patched == []


async def test_the_control_plane_is_refused():
    item = node()
    item["metadata"]["labels"] = {nodes.CONTROL_PLANE: ""}
    with pytest.raises(InjectionFailed, match="control plane"):
        await nodes.read(FakeKube({"/api/v1/nodes/worker": item}), planned("node_cordon"))  # type: ignore[arg-type]


async def test_a_cordon_is_signed_and_only_its_own_signature_is_undone():
    kube = FakeKube({"/api/v1/nodes/worker": node()})
    await nodes.cordon(planned("node_cordon"), reach(kube))
    metadata = {"resourceVersion": "7", "annotations": {nodes.CORDONED_BY: "run-1"}}
    assert kube.patched == [("/api/v1/nodes/worker", {"metadata": metadata, "spec": {"unschedulable": True}})]
    kube.patched.clear()
    kube.objects["/api/v1/nodes/worker"]["metadata"]["annotations"] = {nodes.CORDONED_BY: "another"}
    await nodes.ask_uncordon(planned("node_cordon"), reach(kube))
    assert kube.patched == []
    kube.objects["/api/v1/nodes/worker"]["metadata"]["annotations"] = {nodes.CORDONED_BY: "run-1"}
    await nodes.ask_uncordon(planned("node_cordon"), reach(kube))
    assert kube.patched[0][1]["spec"] == {"unschedulable": None}


def test_a_drain_leaves_daemons_static_going_and_finished_pods():
    assert evictable(pod())
    assert not evictable(pod(owner="DaemonSet"))
    assert not evictable(pod(going=True))
    static, done = pod(), pod()
    static["metadata"]["annotations"] = {nodes.MIRROR: "x"}
    done["status"]["phase"] = "Succeeded"
    assert not evictable(static)
    assert not evictable(done)


# -- containers -----------------------------------------------------------------------------------------------------


def test_the_first_container_is_chosen_when_none_is_named():
    item = pod()
    item["status"]["containerStatuses"] = [{"name": "web", "state": {"running": {}}, "containerID": "containerd://x"}]
    assert choose(item, "")["containerID"] == "containerd://x"
    with pytest.raises(InjectionFailed, match="does not run"):
        choose(item, "sidecar")


def test_a_pod_is_asked_at_its_first_tcp_port():
    item = pod()
    item["status"]["podIP"] = "192.0.2.1"
    assert address(item) == ""
    item["spec"]["containers"][0]["ports"] = [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 80}]
    assert address(item) == "http://192.0.2.1:80/"
    item["status"]["podIP"] = "2001:db8::1"
    assert address(item) == "http://[2001:db8::1]:80/"


# -- resources ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_comes_back_from_its_resource_as_it_was(kind):
    fault = planned(kind, deadline=3.0)
    assert resource.planned(resource.body(fault, "run", [])) == fault


def test_a_pods_fault_lies_in_its_namespace_and_a_nodes_in_none():
    assert resource.collection(planned("pod_kill")).endswith("/namespaces/shop/faults")
    assert resource.collection(planned("node_stop")).endswith("/nodefaults")


async def test_a_fault_that_a_dead_run_left_is_replaced():
    kube = FakeKube()
    kube.failures = [ApiError(409, "AlreadyExists", "")]
    made = await resource.create(kube, planned("pod_kill"), "run", [])  # type: ignore[arg-type]
    assert made["metadata"]["labels"] == {resource.RUN_LABEL: "run", resource.NODE_LABEL: "worker"}
    assert len(kube.deleted) == 1


async def test_a_status_names_phase_times_and_evidence():
    kube = FakeKube()
    await resource.status(kube, planned("pod_kill"), "Felt", felt_at=0, evidence={"uid": "x"})  # type: ignore[arg-type]
    ((path, body),) = kube.patched
    assert path.endswith("/faults/run-1/status")
    assert body == {"status": {"phase": "Felt", "feltAt": "1970-01-01T00:00:00Z", "evidence": {"uid": "x"}}}


def _fields(schema: dict[str, Any], value: Any, path: str = "") -> list[str]:
    """Name what a value holds that its schema does not."""
    if isinstance(value, list):
        return [name for item in value for name in _fields(schema["items"], item, path)]
    if not isinstance(value, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    known = schema.get("properties", {})
    unknown = [f"{path}.{key}" for key in value if key not in known]
    return unknown + [
        name for key in value if key in known for name in _fields(known[key], value[key], f"{path}.{key}")
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_names_every_field_that_is_written(kind):
    fault = planned(kind)
    schema = crds.definitions()[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    written = resource.body(fault, "run", REGISTRY[kind].undo(fault, reach(FakeKube())))
    assert _fields(schema["properties"]["spec"], written["spec"]) == []


def test_the_printed_columns_say_what_is_broken():
    for item in crds.definitions():
        columns = [column["name"] for column in item["spec"]["versions"][0]["additionalPrinterColumns"]]
        assert columns == ["Run", "Kind", "Target", "Phase", "Age"]
