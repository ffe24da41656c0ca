"""Nodes and zones are cut off, restarted, or lack kubelet, runtime or memory: felt from outside, healed as found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine.planning import plan
from harness.model.plan import PlannedFault
from harness.targets import zones
from harness.targets.reach import Reach
from tests.e2e.live import docker
from tests.e2e.victims import NAMESPACE, node_of, planned, pod_of, walk

pytestmark = pytest.mark.e2e


def rules(cluster: LocalCluster, node: str) -> str:
    """Return what drops packets in a node on purpose."""
    found = docker(cluster, "exec", cluster.nodes[node], "iptables-save", "-t", "mangle")
    return "\n".join(line for line in found.splitlines() if "chaos-" in line)


def kubelet(cluster: LocalCluster, node: str) -> list[str]:
    """Return what the kubelet of a node was started with; nothing where none runs."""
    ask = "cat /proc/$(systemctl show --property MainPID --value kubelet)/cmdline"
    return docker(cluster, "exec", cluster.nodes[node], "sh", "-c", ask, check=False).split("\0")


async def outage(kube: Kube) -> PlannedFault:
    """Plan to lose the zone of a web server."""
    node = await kube.get(paths.nodes((await node_of(kube)).name))
    zone = zones.target(zones.of(node), await kube.list(paths.nodes()))
    return replace(planned("zone_outage", zone), takes=await plan.takes(kube, "zone_outage", zone, {}))


@pytest.mark.anyio
async def test_a_node_that_is_cut_off_falls_silent_and_keeps_its_address(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    before = await reach.healer.inspect(victim.name)
    seen = await walk(reach, planned("node_disconnect", victim))
    assert seen["felt"]["kubelet"] == "silent"
    assert seen["healed"]["ready"] is True
    assert await reach.healer.inspect(victim.name) == before
    assert reach.cluster
    assert rules(reach.cluster, victim.name) == ""


@pytest.mark.anyio
async def test_a_zone_is_lost_with_all_its_nodes_and_is_back_as_one(reach: Reach, kube: Kube) -> None:
    fault = await outage(kube)
    names = [part.victim.name for part in zones.each(fault)]
    assert any(pod.namespace == NAMESPACE for pod in fault.takes)
    seen = await walk(reach, fault)
    assert seen["felt"] == dict.fromkeys(names, "silent")
    assert seen["healed"]["ready"] is True
    assert reach.cluster
    assert [rules(reach.cluster, name) for name in names] == [""] * len(names)


@pytest.mark.anyio
async def test_what_runs_on_a_node_without_a_kubelet_runs_on(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    before = await _containers(kube, victim.name)
    seen = await walk(reach, planned("kubelet_stop", victim))
    assert seen["felt"]["kubelet"] == "silent"
    assert seen["healed"]["ready"] is True
    assert await _containers(kube, victim.name) == before


@pytest.mark.anyio
async def test_what_runs_on_a_node_without_a_runtime_runs_on(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    before = await _containers(kube, victim.name)
    seen = await walk(reach, planned("runtime_stop", victim))
    assert seen["felt"]["runtime"]
    assert seen["healed"]["ready"] is True
    assert await _containers(kube, victim.name) == before


@pytest.mark.anyio
async def test_a_node_says_that_its_memory_runs_out_and_loses_nothing_by_it(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    assert reach.cluster
    before, options = await _containers(kube, victim.name), kubelet(reach.cluster, victim.name)
    takes = await plan.takes(kube, "node_pressure", victim, {"evicts": False})
    seen = await walk(reach, replace(planned("node_pressure", victim, evicts=False), takes=takes))
    assert seen["felt"] == {"pressure": True, "tainted": True}
    assert (seen["healed"]["pressure"], seen["healed"]["ready"]) == (False, True)
    assert await _containers(kube, victim.name) == before
    assert kubelet(reach.cluster, victim.name) == options
    assert not (await kube.get(paths.nodes(victim.name)))["spec"].get("taints")


@pytest.mark.anyio
async def test_a_node_whose_memory_runs_out_evicts_a_pod_that_comes_back(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    takes = await plan.takes(kube, "node_pressure", victim, {"evicts": True})
    seen = await walk(reach, replace(planned("node_pressure", victim, evicts=True), takes=takes))
    assert set(seen["felt"]["evicted"].split(", ")) <= {str(one) for one in takes}
    assert seen["healed"]["pressure"] is False
    assert all(owner.get("ready", 0) >= owner.get("desired", 0) for owner in seen["healed"]["owners"])


@pytest.mark.anyio
async def test_a_restarted_node_comes_back_by_itself_with_new_containers(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    before = await _containers(kube, victim.name)
    seen = await walk(reach, planned("node_restart", victim))
    assert seen["felt"]["kubelet"] == "silent"
    assert (await reach.healer.inspect(victim.name))["addresses"] == seen["facts"]["addresses"]
    assert not before & await _containers(kube, victim.name)


@pytest.mark.anyio
async def test_a_reclaimed_node_is_left_before_it_is_stopped(reach: Reach, kube: Kube) -> None:
    victim, pod = await node_of(kube), await pod_of(kube)
    takes = await plan.takes(kube, "node_spot_reclaim", victim, {})
    seen = await walk(reach, replace(planned("node_spot_reclaim", victim, notice=10.0), takes=takes))
    assert str(pod) in seen["facts"]["evicted"]
    assert (seen["felt"]["tainted"], seen["felt"]["kubelet"]) == (True, "silent")
    assert seen["healed"]["tainted"] is False
    assert not (await kube.get(paths.nodes(victim.name)))["spec"].get("taints")


async def _containers(kube: Kube, node: str) -> set[str]:
    pods = await kube.list(paths.pods(NAMESPACE), fields=f"spec.nodeName={node}")
    return {one["containerID"] for pod in pods for one in pod["status"].get("containerStatuses") or []}
