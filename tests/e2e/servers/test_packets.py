"""Packet faults as experiments on a real cluster: felt from outside as asked for, and gone whatever dies."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.errors import InjectionFailed
from harness.faults import FAULTS
from harness.model.plan import Victim
from harness.resources import resource
from harness.targets import nodes
from harness.targets.reach import Reach
from tests.e2e.live import docker, harness, kubectl
from tests.e2e.test_dying import HEAL_SECONDS, Run, seconds_until, tell
from tests.e2e.victims import NAMESPACE, node_of, planned, pod_of, written

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
DELAY_MS = 100
LATE_MS = 90.0
CONNECTIONS = 15
ATTEMPTS = 20
# A kernel sends a lost SYN again after 1, 3 and 7 s: who is to be let through may be late, who is not is asked briefly.
PATIENCE_SECONDS = 10.0
CUT_SECONDS = 0.5
# What a pod that is not the target's tries, as often as it is told and all at once: prints how many were answered.
ASK = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def answered(_):
    try:
        socket.create_connection((sys.argv[1], 8080), float(sys.argv[3])).close()
    except OSError:
        return False
    return True
with ThreadPoolExecutor(int(sys.argv[2])) as together:
    print(sum(together.map(answered, range(int(sys.argv[2])))))
"""


def _address(cluster: LocalCluster, victim: Victim) -> str:
    return kubectl(cluster, "-n", NAMESPACE, "get", "pod", victim.name, "-o", "jsonpath={.status.podIP}")


def _connect_ms(cluster: LocalCluster, victim: Victim) -> float:
    """Connect to the pod from its node several times, and return the median of how long that took."""
    url = f"http://{_address(cluster, victim)}:8080/"
    ask = f"for i in $(seq {CONNECTIONS}); do curl -s -o /dev/null -m 10 -w '%{{time_connect}}\\n' {url}; done"
    times = docker(cluster, "exec", cluster.nodes[victim.node], "sh", "-c", ask).split()
    return statistics.median(1e3 * float(one) for one in times)


def _late(cluster: LocalCluster, addresses: Sequence[str]) -> bool:
    """Connect to each of these once, from the control plane, and say whether one was late."""
    ask = "for ip; do curl -s -o /dev/null -m 5 -w '%{time_connect}\\n' http://$ip:8080/; done"
    times = docker(cluster, "exec", cluster.control_plane, "sh", "-c", ask, "sh", *addresses).split()
    return any(1e3 * float(one) > LATE_MS for one in times)


def _answered(cluster: LocalCluster, asking: Victim, asked: Victim, wait: float) -> int:
    """Count the connections that were made, each within so many seconds."""
    words = ["exec", asking.name, "--", "python3", "-c", ASK, _address(cluster, asked), str(ATTEMPTS), str(wait)]
    return int(kubectl(cluster, "-n", NAMESPACE, *words))


async def _begin(reach: Reach, fault: Any) -> dict[str, Any]:
    """Inject a fault as the engine does, and return the evidence."""
    kind = FAULTS[fault.kind]
    await written(reach, fault)
    with anyio.fail_after(60):
        await kind.inject(fault, reach)
        felt = await kind.felt(fault, reach)
    assert felt
    return felt


async def _end(reach: Reach, fault: Any) -> None:
    kind = FAULTS[fault.kind]
    with anyio.fail_after(60):
        await kind.heal(fault, reach)
        await kind.healed(fault, reach)
    await resource.delete(reach.kube, fault)


async def test_latency_is_felt_as_asked_for_and_gone_afterwards(
    as_found: None, leased: Reach, workload: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = await pod_of(leased.kube)
    usual = _connect_ms(workload, victim)
    fault = planned("pod_latency", victim, "late", delay=DELAY_MS / 1e3, direction="egress")
    felt = await _begin(leased, fault)
    late = _connect_ms(workload, victim)
    with capsys.disabled():
        print(f"\n    connecting takes {usual:.1f} ms, with the fault {late:.1f} ms; {felt}", end="", flush=True)
    assert "request" in felt
    assert DELAY_MS <= late <= usual + DELAY_MS * 1.1
    await _end(leased, fault)
    assert _connect_ms(workload, victim) < DELAY_MS / 2


async def test_a_partition_lets_nothing_through_from_its_peers_and_everything_from_others(
    as_found: None, leased: Reach, kube: Kube, workload: LocalCluster
) -> None:
    victim = await pod_of(kube)
    other = await pod_of(kube, besides=victim.uid)
    assert _answered(workload, other, victim, PATIENCE_SECONDS) == ATTEMPTS
    fault = planned("pod_partition", victim, "cut", peers=[f"{_address(workload, other)}/32"], direction="both")
    kind = FAULTS["pod_partition"]
    await written(leased, fault)
    await kind.inject(fault, leased)
    assert _answered(workload, other, victim, CUT_SECONDS) == 0
    with anyio.fail_after(60):
        felt = await kind.felt(fault, leased)
    assert felt
    assert "dropped" in felt["agent"]
    assert _connect_ms(workload, victim) < DELAY_MS
    await _end(leased, fault)
    assert _answered(workload, other, victim, PATIENCE_SECONDS) == ATTEMPTS


async def test_a_node_is_cut_off_from_its_peers_and_stays_ready(
    as_found: None, leased: Reach, kube: Kube, workload: LocalCluster
) -> None:
    node = await node_of(kube)
    victim = await pod_of(kube)
    other = await pod_of(kube, besides=victim.uid)
    assert other.node != victim.node == node.name
    kind, peers = FAULTS["node_partition"], [f"{_address(workload, other)}/32"]
    given = {"peers": peers, "direction": "both", "interfaces": ["eth0"]}
    fault = planned("node_partition", node, "cut", **await kind.resolve(kube, given))
    await written(leased, fault)
    await kind.inject(fault, leased)
    assert _answered(workload, other, victim, CUT_SECONDS) == 0
    with anyio.fail_after(60):
        felt = await kind.felt(fault, leased)
    assert felt
    assert "dropped" in felt["agent"]
    # The API server hands on to the node all the same.
    assert await nodes.answers(kube, node.name)
    await _end(leased, fault)
    assert _answered(workload, other, victim, PATIENCE_SECONDS) == ATTEMPTS


async def test_an_order_that_an_agent_refuses_is_told_in_its_words(leased: Reach, kube: Kube) -> None:
    fault = planned("pod_latency", await pod_of(kube), "refused", delay=0.1, jitter=0.2)
    with pytest.raises(InjectionFailed, match="jitter_ms is above delay_ms"):
        await _begin(leased, fault)
    with anyio.fail_after(60):
        await FAULTS[fault.kind].heal(fault, leased)
    await resource.delete(kube, fault)


def test_deleting_the_fault_of_a_run_heals_it(
    cluster: LocalCluster, as_found: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Asked before: to ask takes longer than to heal.
    words = ("-n", "claude-ecosystem-prod", "get", "pods", "-l", "app=claude-agent-registry")
    registries = kubectl(cluster, *words, "-o", "jsonpath={.items[*].status.podIP}").split()
    run = Run("latency", tmp_path)
    try:
        run.wait_for("fault.felt")
        assert _late(cluster, registries)
        kubectl(cluster, "delete", "faults", "--all", "--all-namespaces", "--wait=false")
        tell(capsys, "its deletion, latency", seconds_until(lambda: not _late(cluster, registries), HEAL_SECONDS))
        run.wait_for("fault.healed")
    finally:
        run.signal(2)
        run.end()


def test_the_plan_shows_whom_a_fault_is_about_as_addresses(cluster: LocalCluster) -> None:
    words = ("-n", "claude-ecosystem-prod", "get", "pods", "-l", "app=claude-orchestrator")
    addresses = kubectl(cluster, *words, "-o", "jsonpath={.items[*].status.podIP}").split()
    shown = harness("plan", "experiments/tool-router/partition.yaml").stdout
    assert addresses
    assert all(one in shown for one in addresses)
