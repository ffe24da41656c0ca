"""Nodes are cordoned with a signature, and drained of what the plan names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.errors import InjectionFailed
from harness.faults import FAULTS
from harness.targets import nodes
from harness.workloads.pod import MIRROR
from tests.unit.targets.fakes import POD, PODS, FakeKube, node, planned, pod, reach, web

pytestmark = pytest.mark.anyio


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
    assert nodes.movable(pod())
    assert not nodes.movable(pod(owner="DaemonSet"))
    assert not nodes.movable(pod(going=True))
    static, done = pod(), pod()
    static["metadata"]["annotations"] = {MIRROR: "x"}
    done["status"]["phase"] = "Succeeded"
    assert not nodes.movable(static)
    assert not nodes.movable(done)


def drained(*, found: dict[str, Any], **note: Any) -> tuple[Any, FakeKube, Any]:
    """Make a drain of `worker` whose plan names the pod uid-1, on a cluster where `found` are the pods."""
    fault = replace(planned("node_drain", deadline=1.0), takes=(POD,))
    kube = FakeKube({**web(), "/api/v1/nodes/worker": node(), **found})
    there = reach(kube)
    there.note(fault).update(note)
    return fault, kube, there


async def test_a_drain_evicts_what_the_plan_names_and_tells_of_what_came_later():
    fault, kube, there = drained(found={"/api/v1/pods": [pod("uid-1"), pod("uid-9")]})
    kube.answers = [(201, {})]
    facts = await FAULTS["node_drain"].inject(fault, there)
    assert kube.evicted == ["web-uid-1"]
    assert facts["evicted"] == ["shop/web-uid-1"]
    assert facts["came_later"] == ["shop/web-uid-9"]


async def test_a_drain_refuses_to_lose_a_pod_before_it_begins():
    lonely = pod("uid-1")
    del lonely["metadata"]["ownerReferences"]
    fault, kube, there = drained(found={"/api/v1/pods": [lonely]})
    with pytest.raises(InjectionFailed, match="nothing would replace this pod: shop/web-uid-1") as refused:
        await FAULTS["node_drain"].inject(fault, there)
    assert (refused.value.why, kube.patched, kube.evicted) == ("no controller owns it", [], [])


async def test_a_drain_is_healed_when_each_workload_has_what_it_had():
    before = [pod("uid-1"), pod("uid-2"), pod("uid-3", ready=False)]
    fault, kube, there = drained(found={"/api/v1/pods": [pod("uid-1")], PODS: before, **web(3)})
    kube.answers = [(201, {})]
    await FAULTS["node_drain"].inject(fault, there)
    kube.objects |= {"/api/v1/nodes": [node()], PODS: [pod("uid-2"), pod("uid-3", ready=False), pod("uid-4")]}
    with anyio.fail_after(30):
        healed = await FAULTS["node_drain"].healed(fault, there)
    assert healed["owners"] == [{"owner": "Deployment/web", "ready": 2, "desired": 2}]
    assert there.note(fault)["grace"] == 30.0


CORDONED = {
    "/api/v1/nodes": [node(unschedulable=True, taints=[{"key": "node.kubernetes.io/unschedulable"}])],
}


async def test_a_drain_of_an_empty_node_is_not_felt():
    fault, _, there = drained(found=CORDONED, evicted=[], left=[])
    assert await FAULTS["node_drain"].felt(fault, there) is None


async def test_a_drain_that_only_met_refusals_says_so():
    fault, _, there = drained(found=CORDONED, evicted=[], left=["shop/web-1"])
    assert (await FAULTS["node_drain"].felt(fault, there))["refused"] is True
    fault, _, there = drained(found=CORDONED, evicted=["shop/web-2"], left=["shop/web-1"])
    assert "refused" not in await FAULTS["node_drain"].felt(fault, there)
