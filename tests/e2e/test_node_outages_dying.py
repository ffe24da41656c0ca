"""A run that dies while a node or a zone is cut off, or its kubelet or runtime is not as ever, gives it back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.local import LocalCluster
from harness.engine.undoing import fingerprint
from harness.faults import node_pressure
from harness.keeper import container
from harness.targets import zones
from tests.e2e.live import docker, harness, kubectl, taken, undone
from tests.e2e.servers.test_node_outages import kubelet, rules
from tests.e2e.test_dying import HEAL_SECONDS, LEASE_SECONDS, Run, seconds_until, tell

pytestmark = pytest.mark.e2e
DOCUMENTS = ("disconnect", "zone_outage", "kubelet_stop", "runtime_stop", "node_pressure")
# Several nodes at once, and what a node would keep; the crash matrix has the others.
REMEMBERED = ("zone_outage", "node_pressure")
UNITS = {"kubelet_stop": "kubelet", "runtime_stop": "containerd"}
BOOTED_SECONDS, CLEAR_SECONDS = 120, 30


def broken_now(cluster: LocalCluster, document: str, node: str) -> bool:
    """Look at the node itself, not at what the harness says of it."""
    if document in UNITS:
        asked = ("exec", cluster.nodes[node], "systemctl", "is-active", UNITS[document])
        # One that is on its way has been started.
        return docker(cluster, *asked, check=False).strip() not in ("active", "activating")
    if document == "node_pressure":
        return node_pressure.THRESHOLD in kubelet(cluster, node)
    return rules(cluster, node) != ""


def ready(cluster: LocalCluster, node: str) -> bool:
    """Say whether a node is Ready and its kubelet answers the API server."""
    condition = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    answer = kubectl(cluster, "get", "--raw", f"/api/v1/nodes/{node}/proxy/healthz", check=False)
    return answer == "ok" and kubectl(cluster, "get", "node", node, "-o", condition) == "True"


@pytest.fixture
def broken(request: pytest.FixtureRequest, cluster: LocalCluster, tmp_path: Path) -> Iterator[tuple[str, Run, str]]:
    """A run whose fault is injected right now, and the first node that it hit; as found once that could boot."""
    undone(cluster)
    before, document = taken(cluster), request.param
    run = Run(document, tmp_path)
    try:
        run.wait_for("fault.injected")
        (fault,) = run.wait_for("plan")["data"]["faults"]
        hit: list[dict[str, Any]] = [one for one in (fault["victim"], *fault["takes"]) if one["kind"] == "node"]
        yield document, run, hit[0]["name"]
    finally:
        run.close()
    left = ["not looked at"]

    def as_found() -> bool:
        left[:] = fingerprint.difference(before, taken(cluster))
        return not left

    try:
        seconds_until(as_found, limit=BOOTED_SECONDS)
    finally:
        print("\n".join(left))


@pytest.mark.parametrize("broken", DOCUMENTS, indirect=True)
def test_a_run_that_is_killed_in_its_midst_gives_the_node_back(
    cluster: LocalCluster, broken: tuple[str, Run, str], capsys: pytest.CaptureFixture[str]
) -> None:
    document, run, node = broken
    assert broken_now(cluster, document, node)
    run.signal(signal.SIGKILL)
    seconds = seconds_until(lambda: not broken_now(cluster, document, node), limit=HEAL_SECONDS)
    tell(capsys, f"SIGKILL, {document}", seconds)
    seconds_until(lambda: ready(cluster, node), limit=BOOTED_SECONDS)
    seconds_until(lambda: kubectl(cluster, "get", "nodefaults", "-o", "name") == "", limit=CLEAR_SECONDS)


@pytest.mark.parametrize("broken", REMEMBERED, indirect=True)
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


@pytest.mark.parametrize("broken", REMEMBERED, indirect=True)
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
