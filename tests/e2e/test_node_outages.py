"""Nodes and zones that are cut off, restarted or without a kubelet: felt from outside, and given back whatever dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine import plan
from harness.keeper import container
from harness.model.plan import PlannedFault
from harness.targets import zones
from harness.targets.reach import Reach
from tests.e2e.live import docker, harness, kubectl
from tests.e2e.test_dying import HEAL_SECONDS, LEASE_SECONDS, Run, seconds_until, tell
from tests.e2e.victims import NAMESPACE, node_of, planned, walk

pytestmark = pytest.mark.e2e
DOCUMENTS = ("disconnect", "zone_outage", "kubelet_stop")
BOOTED_SECONDS = 120


def rules(cluster: LocalCluster, node: str) -> str:
    """Return what drops packets in a node on purpose."""
    found = docker(cluster, "exec", cluster.nodes[node], "iptables-save", "-t", "mangle")
    return "\n".join(line for line in found.splitlines() if "chaos-" in line)


def broken_now(cluster: LocalCluster, document: str, node: str) -> bool:
    """Look at the node itself, not at what the harness says of it."""
    if document == "kubelet_stop":
        asked = ("exec", cluster.nodes[node], "systemctl", "is-active", "kubelet")
        return docker(cluster, *asked, check=False).strip() != "active"
    return rules(cluster, node) != ""


def ready(cluster: LocalCluster, node: str) -> bool:
    """Say whether a node is Ready and its kubelet answers the API server."""
    condition = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    answer = kubectl(cluster, "get", "--raw", f"/api/v1/nodes/{node}/proxy/healthz", check=False)
    return answer == "ok" and kubectl(cluster, "get", "node", node, "-o", condition) == "True"


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
async def test_a_restarted_node_comes_back_by_itself_with_new_containers(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    before = await _containers(kube, victim.name)
    seen = await walk(reach, planned("node_restart", victim))
    assert seen["felt"]["kubelet"] == "silent"
    assert (await reach.healer.inspect(victim.name))["addresses"] == seen["facts"]["addresses"]
    assert not before & await _containers(kube, victim.name)


async def _containers(kube: Kube, node: str) -> set[str]:
    pods = await kube.list(paths.pods(NAMESPACE), fields=f"spec.nodeName={node}")
    return {one["containerID"] for pod in pods for one in pod["status"].get("containerStatuses") or []}


@pytest.fixture
def broken(request: pytest.FixtureRequest, as_found: None, tmp_path: Path) -> Iterator[tuple[str, Run, str]]:
    """A run whose fault is injected right now, and the first node that it hit."""
    document: str = request.param
    run = Run(document, tmp_path)
    try:
        run.wait_for("fault.injected")
        (fault,) = run.wait_for("plan")["data"]["faults"]
        hit: list[dict[str, Any]] = [one for one in (fault["victim"], *fault["takes"]) if one["kind"] == "node"]
        yield document, run, hit[0]["name"]
    finally:
        run.close()


@pytest.mark.parametrize("broken", DOCUMENTS, indirect=True)
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_a_run_that_ends_in_its_midst_gives_the_node_back(
    cluster: LocalCluster, broken: tuple[str, Run, str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document, run, node = broken
    assert broken_now(cluster, document, node)
    run.signal(getattr(signal, name))
    seconds = seconds_until(lambda: not broken_now(cluster, document, node), limit=HEAL_SECONDS)
    tell(capsys, f"{name}, {document}", seconds)
    seconds_until(lambda: ready(cluster, node), limit=BOOTED_SECONDS)
    seconds_until(lambda: kubectl(cluster, "get", "nodefaults", "-o", "name") == "", limit=30)


@pytest.mark.parametrize("broken", DOCUMENTS, indirect=True)
def test_engine_and_keeper_killed_together_give_the_node_back(
    cluster: LocalCluster, broken: tuple[str, Run, str], capsys: pytest.CaptureFixture[str]
) -> None:
    document, run, node = broken
    assert broken_now(cluster, document, node)
    keeper = int(docker(cluster, "inspect", "-f", "{{.State.Pid}}", container.NAME))
    run.signal(signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    seconds = seconds_until(lambda: not broken_now(cluster, document, node), limit=LEASE_SECONDS + 2)
    tell(capsys, f"both deaths, {document}", seconds)
    seconds_until(lambda: ready(cluster, node), limit=BOOTED_SECONDS)


@pytest.mark.parametrize("broken", DOCUMENTS, indirect=True)
def test_a_node_that_is_restarted_meanwhile_is_whole_and_the_fault_is_over(
    cluster: LocalCluster, broken: tuple[str, Run, str]
) -> None:
    document, run, node = broken
    docker(cluster, "restart", "-t", "0", cluster.nodes[node])
    run.signal(signal.SIGINT)
    assert run.end() == 130
    assert not broken_now(cluster, document, node)
    seconds_until(lambda: ready(cluster, node), limit=BOOTED_SECONDS)


def test_the_plan_shows_the_nodes_and_the_pods_of_a_zone(cluster: LocalCluster) -> None:
    shown = harness("plan", "experiments/nodes/zone_outage.yaml", "--seed", "1").stdout
    lines = [line.split() for line in shown.splitlines()]
    (zone,) = [words[2] for words in lines if words[:2] == ["zone_outage", "zone"]]
    selector = f"{zones.LABEL}={zone}"
    names = kubectl(cluster, "get", "nodes", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}").split()
    with_it = [words[2] for words in lines if words[:2] == ["with", "it"]]
    assert with_it[: len(names)] == sorted(names)
    assert all(one.startswith("claude-ecosystem-prod/") for one in with_it[len(names) :])
    assert len(with_it) > len(names)
