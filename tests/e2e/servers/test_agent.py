"""The agents on a real cluster: what they do inside of pods, and what is left when any part of it dies."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from harness.agent import install, manifest
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.model.plan import Victim
from harness.resources import resource
from harness.targets import containers
from tests.e2e.live import docker, harness, kubectl
from tests.e2e.victims import LEASE, NAMESPACE, held, pod_of, renew, until

DELAY_MS = 300
LATENCY = {
    "op": "packets",
    "effect": {"kind": "latency", "delay_ms": DELAY_MS},
    "match": {"direction": "ingress", "protocol": "tcp", "own_ports": [8080]},
}
pytestmark = [pytest.mark.e2e, pytest.mark.anyio]


@pytest.fixture(scope="module", autouse=True)
def agents(workload: LocalCluster) -> Iterator[None]:
    """Have the agents on every node while these tests go on."""

    async def put() -> None:
        async with Kube.connect(workload.kubeconfig, workload.context) as kube:
            await install.install(kube, workload, "", print)

    async def take() -> None:
        async with Kube.connect(workload.kubeconfig, workload.context) as kube:
            await install.remove(kube, force=False)

    anyio.run(put)
    yield
    harness("undo")
    anyio.run(take)
    # As `harness up` leaves it: other tests' faults are done by agents, too.
    anyio.run(put)


@pytest.fixture
async def run(kube: Kube) -> AsyncIterator[str]:
    """Hold the Lease for a run of one test, so that nothing heals by itself; one that gave it back is over for good."""
    name = f"run-{time.monotonic_ns()}"
    async with held(kube, name):
        yield name


def _body(victim: Victim, run: str, name: str, effect: dict[str, Any]) -> dict[str, Any]:
    target = {"kind": "pod", "namespace": NAMESPACE, "name": victim.name, "uid": victim.uid, "node": victim.node}
    labels = {resource.RUN_LABEL: run, resource.NODE_LABEL: victim.node}
    spec = {"run": run, "id": name, "kind": "pod_latency", "hand": "node", "target": target, "undo": []}
    return {
        "apiVersion": f"{manifest.GROUP}/v1alpha1",
        "kind": "Fault",
        "metadata": {"name": name, "labels": labels},
        "spec": {**spec, "parameters": {"node": effect}},
    }


def _path(name: str = "") -> str:
    return f"{resource.ROOT}/namespaces/{NAMESPACE}/faults" + f"/{name}" * bool(name)


async def _status(kube: Kube, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (await kube.get(_path(name))).get("status") or {}
    return found


async def _applied(kube: Kube, victim: Victim, run: str, name: str, effect: dict[str, Any]) -> None:
    await kube.create(_path(), _body(victim, run, name, effect))

    async def so() -> bool:
        return "appliedAt" in await _status(kube, name)

    await until(so)


async def _why(kube: Kube, name: str) -> str:
    """Wait until an agent says that it has healed a fault, and return why it did."""

    async def so() -> bool:
        return "healedAt" in await _status(kube, name)

    await until(so)
    return str((await _status(kube, name))["message"])


async def _let_go(kube: Kube, name: str) -> None:
    """Ask for a fault's undo, as a run does, and hear that it is undone for that."""
    await kube.patch(_path(name), {"metadata": {"annotations": {f"{manifest.GROUP}/heal": "true"}}})
    assert await _why(kube, name) == "nobody wants it any more"


def _connect_ms(cluster: LocalCluster, victim: Victim) -> float:
    """Ask the pod from its node, and return how long the connection took to be made."""
    address = kubectl(cluster, "-n", NAMESPACE, "get", "pod", victim.name, "-o", "jsonpath={.status.podIP}")
    argv = ["curl", "-s", "-o", "/dev/null", "-m", "10", "-w", "%{time_connect}", f"http://{address}:8080/"]
    return 1e3 * float(docker(cluster, "exec", cluster.nodes[victim.node], *argv))


def _chains(cluster: LocalCluster, victim: Victim) -> str:
    """List the rules of ours in any network namespace of the pod's node."""
    save = "for t in iptables-nft iptables-legacy; do nsenter -t $p -n $t-save 2>/dev/null; done"
    script = f"for p in $(lsns -t net -n -o PID); do {save}; done | grep KCH-"
    return docker(cluster, "exec", cluster.nodes[victim.node], "sh", "-c", script, check=False)


def _agent_of(cluster: LocalCluster, victim: Victim) -> str:
    words = ["-l", f"app.kubernetes.io/name={manifest.NAME}", f"--field-selector=spec.nodeName={victim.node}"]
    return kubectl(cluster, "-n", manifest.NAMESPACE, "get", "pods", *words, "-o", "jsonpath={.items[0].metadata.name}")


async def _late(kube: Kube, cluster: LocalCluster, victim: Victim, run: str, name: str) -> None:
    """Have a pod's packets come late, and see the rules that do it: looked for in vain they would seem to be gone."""
    await _applied(kube, victim, run, name, LATENCY)
    assert _chains(cluster, victim)


async def _healed(cluster: LocalCluster, victim: Victim) -> None:
    async def so() -> bool:
        return not _chains(cluster, victim)

    await until(so)
    assert _connect_ms(cluster, victim) < DELAY_MS


# First: what goes with the API server, the scheduler and the controllers, take half a minute to be back, and until then
# only what needs neither is asked for.
async def test_a_fault_is_healed_on_time_without_the_api_server(kube: Kube, workload: LocalCluster, run: str):
    """Its Lease is renewed for as long as anybody answers."""
    victim = await pod_of(kube)
    await _late(kube, workload, victim, run, "alone")
    manifests = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    # As it is told to end it would answer for some seconds more, and have the Lease renewed for as long.
    end = f"mv {manifests} /root/kube-apiserver.yaml; sleep 1; pkill -KILL -x kube-apiserver; true"
    docker(workload, "exec", workload.control_plane, "sh", "-c", end)
    try:

        async def so() -> bool:
            return not _chains(workload, victim)

        await until(so, 90)
    finally:
        docker(workload, "exec", workload.control_plane, "mv", "/root/kube-apiserver.yaml", manifests)
    assert await _why(kube, "alone") == "nobody renewed its lease"
    await kube.delete(_path("alone"))


async def test_latency_is_felt_from_outside_and_healed_with_its_evidence(kube: Kube, workload: LocalCluster, run: str):
    victim = await pod_of(kube)
    before = _connect_ms(workload, victim)
    await _late(kube, workload, victim, run, "latency")
    assert _connect_ms(workload, victim) >= before + DELAY_MS * 0.9
    await _let_go(kube, "latency")
    seen = (await _status(kube, "latency"))["evidence"]["packets"]
    assert seen["missed"] == 0
    assert seen["did"]["delayed"] > 0
    await kube.delete(_path("latency"))
    await _healed(workload, victim)


async def test_deleting_the_resource_heals(kube: Kube, workload: LocalCluster, run: str):
    victim = await pod_of(kube)
    await _late(kube, workload, victim, run, "deleted")
    kubectl(workload, "-n", NAMESPACE, "delete", "fault", "deleted")
    await _healed(workload, victim)


async def test_a_run_that_nobody_renews_is_healed(kube: Kube, workload: LocalCluster):
    victim, run = await pod_of(kube), f"run-{time.monotonic_ns()}"
    await renew(kube, run)
    await _applied(kube, victim, run, "lapsed", LATENCY)
    assert await _why(kube, "lapsed") == "nobody renewed its lease"
    await _healed(workload, victim)
    for path in (_path("lapsed"), LEASE):
        await kube.delete(path)


def test_the_doctor_says_what_each_node_lets_its_agent_do(workload: LocalCluster):
    said = harness("doctor", check=False).stdout
    assert f"ready on {len(workload.nodes)} of {len(workload.nodes)} nodes" in said
    assert "freezing by cgroup v" in said
    assert "packets by iptables-" in said
    assert "cannot do" not in said


async def test_a_killed_agent_harms_nothing_and_its_successor_cleans_up(kube: Kube, workload: LocalCluster, run: str):
    victim = await pod_of(kube)
    await _late(kube, workload, victim, run, "orphan")
    node = workload.nodes[victim.node]
    # All at once, as the kernel does it when memory runs out: nobody is left to take the rules away.
    docker(workload, "exec", node, "sh", "-c", "pkill -KILL -f harness.agent.resident", check=False)
    assert _connect_ms(workload, victim) < DELAY_MS
    assert await _why(kube, "orphan") == "the agent started anew"
    await _healed(workload, victim)
    await kube.delete(_path("orphan"))


def _status_code(cluster: LocalCluster, victim: Victim) -> str:
    """Ask the pod from its node; 000 is what curl says where nothing came back within a second."""
    address = kubectl(cluster, "-n", NAMESPACE, "get", "pod", victim.name, "-o", "jsonpath={.status.podIP}")
    argv = ["curl", "-s", "-o", "/dev/null", "-m", "1", "-w", "%{http_code}", f"http://{address}:8080/"]
    return docker(cluster, "exec", cluster.nodes[victim.node], *argv, check=False)


async def _answers(cluster: LocalCluster, victim: Victim) -> None:
    async def so() -> bool:
        return _status_code(cluster, victim) == "200"

    await until(so)


async def test_what_a_killed_agent_froze_thaws_by_its_successor(kube: Kube, workload: LocalCluster, run: str):
    # The other node's: its agent was not killed before, so the kubelet starts it at once.
    victim = await pod_of(kube, besides=(await pod_of(kube)).uid)
    await _applied(kube, victim, run, "left", {"op": "freeze"})
    assert _status_code(workload, victim) == "000"
    kill = "pkill -KILL -f harness.agent.resident"
    docker(workload, "exec", workload.nodes[victim.node], "sh", "-c", kill, check=False)
    # A probe that gave up meanwhile has the kubelet end its container, which then answers, too.
    assert await _why(kube, "left") == "the agent started anew"
    await _answers(workload, victim)
    await kube.delete(_path("left"))


async def _container(kube: Kube, victim: Victim) -> dict[str, Any]:
    found: dict[str, Any] = (await kube.get(paths.pods(NAMESPACE, victim.name)))["status"]["containerStatuses"][0]
    return found


async def test_a_pod_is_frozen_and_a_container_killed_by_the_agent(kube: Kube, workload: LocalCluster, run: str):
    victim = await pod_of(kube)
    await _applied(kube, victim, run, "frozen", {"op": "freeze"})
    assert _status_code(workload, victim) == "000"
    await _let_go(kube, "frozen")
    await _answers(workload, victim)
    await kube.delete(_path("frozen"))
    before = await _container(kube, victim)
    identity = containers.identity(before)
    await _applied(kube, victim, run, "killed", {"op": "signal", "container": identity, "signal": "KILL"})

    async def restarted() -> bool:
        return int((await _container(kube, victim))["restartCount"]) > int(before["restartCount"])

    await until(restarted)
    ended = (await _container(kube, victim))["lastState"]["terminated"]
    assert (containers.identity(ended), ended["exitCode"]) == (identity, 137)
    await kube.delete(_path("killed"))


async def test_a_fault_reaches_no_pod_of_another_namespace(kube: Kube, workload: LocalCluster, run: str):
    """Whoever may write faults in a namespace may name any UID there; the agent of that pod's node is asked."""
    own = await pod_of(kube)
    everyone = json.loads(kubectl(workload, "-n", "claude-ecosystem-prod", "get", "pods", "-o", "json"))["items"]
    there = next(pod for pod in everyone if pod["spec"]["nodeName"] == own.node)
    stranger = dataclasses.replace(own, uid=there["metadata"]["uid"])
    await kube.create(_path(), _body(stranger, run, "reaching", {"op": "freeze"}))

    async def refused() -> bool:
        return "message" in await _status(kube, "reaching")

    await until(refused)
    status = await _status(kube, "reaching")
    assert status["message"].startswith(f"refused: pod {NAMESPACE}/{own.name} is another one")
    assert "appliedAt" not in status
    await kube.delete(_path("reaching"))


async def test_an_agent_at_rest_is_small(kube: Kube, workload: LocalCluster):
    victim = await pod_of(kube)
    pod = _agent_of(workload, victim)
    script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9320/metrics').read().decode())"
    text = kubectl(workload, "-n", manifest.NAMESPACE, "exec", pod, "--", "python3", "-c", script)
    values = dict(line.split() for line in text.splitlines() if line and line[0] != "#")
    assert float(values["chaos_agent_max_resident_bytes"]) < 80 << 20
    assert float(values["chaos_agent_api_answers"]) == 1
