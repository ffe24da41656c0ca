"""Each fault against real pods and nodes: felt from outside, healed as found, also when its process is killed."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

from harness.cluster import kube as api
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.errors import ApiError, HarnessError, InjectionFailed
from harness.faults import REGISTRY, Reach, crds, nodes, resource
from harness.keeper import client, container
from harness.keeper.client import Keeper
from harness.model.plan import PlannedFault, Victim
from tests.e2e.live import docker

NAMESPACE = "chaos-keeper-test"
APP = "victim"
LEASE_SECONDS = 15.0
pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
LEASES = "/apis/coordination.k8s.io/v1/namespaces/chaos-system/leases"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def image(cluster: LocalCluster) -> str:
    """An image with Python that every node has: the stack's."""

    async def find() -> str:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            item = await kube.get(api.deployments("claude-ecosystem-prod", "claude-tool-router"))
            return str(item["spec"]["template"]["spec"]["containers"][0]["image"])

    return anyio.run(find)


@pytest.fixture(scope="module")
def workload(cluster: LocalCluster, image: str) -> Iterator[LocalCluster]:
    """Two web servers on two nodes, with a budget that lets one go."""
    container.ensure(cluster, print)
    labels = {"app": APP}
    web = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", SERVER],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 2},
        "livenessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 2, "failureThreshold": 5},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    pod = {"terminationGracePeriodSeconds": 2, "containers": [web], "topologySpreadConstraints": [spread]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": APP},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": APP},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}},
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}

    async def make() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await crds.install(kube)
            for name in (NAMESPACE, "chaos-system"):
                await kube.patch(f"/api/v1/namespaces/{name}", {**namespace, "metadata": {"name": name}}, kind="apply")
            await kube.patch(api.deployments(NAMESPACE, APP), deployment, kind="apply")
            budgets = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets/{APP}"
            await kube.patch(budgets, budget, kind="apply")
            await settled(kube)

    async def remove() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await kube.delete(f"/api/v1/namespaces/{NAMESPACE}")

            async def gone() -> bool:
                return not await kube.list("/api/v1/namespaces", fields=f"metadata.name={NAMESPACE}")

            await until(gone)

    anyio.run(make)
    yield cluster
    anyio.run(remove)


SERVER = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


async def settled(kube: Kube) -> None:
    """Wait until the budget lets one of two ready web servers go."""

    async def one() -> bool:
        budgets = await kube.list(f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets")
        return bool(budgets) and budgets[0].get("status", {}).get("disruptionsAllowed") == 1

    await until(one)


async def until(true: Callable[[], Any], seconds: float = 120) -> None:
    """Wait until a question to the cluster is answered with yes."""
    with anyio.fail_after(seconds):
        while True:
            with contextlib.suppress(HarnessError):
                if await true():
                    return
            await anyio.sleep(0.05)


@pytest.fixture
async def kube(workload: LocalCluster) -> AsyncIterator[Kube]:
    async with Kube.connect(workload.kubeconfig, workload.context) as kube:
        await settled(kube)
        yield kube


@pytest.fixture
async def reach(workload: LocalCluster, kube: Kube) -> AsyncIterator[Reach]:
    keeper = await Keeper.connect(workload.keeper_socket, f"test-{time.monotonic_ns()}", LEASE_SECONDS)
    observed: list[tuple[str, dict[str, Any]]] = []
    async with anyio.create_task_group() as group:

        async def beat() -> None:
            while True:
                await keeper.beat()
                await anyio.sleep(3)

        group.start_soon(beat)
        reach = Reach(kube, keeper, workload, emit=lambda kind, data: observed.append((kind, data)))
        reach.notes["observed"] = {"events": observed}
        yield reach
        group.cancel_scope.cancel()
    await keeper.end()


async def pod_of(kube: Kube, *, besides: str = "") -> Victim:
    """Name one of the web servers."""
    items = await kube.list(api.pods(NAMESPACE), labels=f"app={APP}")
    items = [
        item for item in items if not item["metadata"].get("deletionTimestamp") and item["metadata"]["uid"] != besides
    ]
    item = sorted(items, key=lambda item: str(item["metadata"]["name"]))[0]
    metadata = item["metadata"]
    return Victim("pod", metadata["name"], metadata["uid"], NAMESPACE, item["spec"]["nodeName"], container="web")


async def node_of(kube: Kube) -> Victim:
    """Name a worker that hosts a web server."""
    name = (await pod_of(kube)).node
    item = await kube.get(api.nodes(name))
    return Victim("node", name, item["metadata"]["uid"], node=name)


def planned(kind: str, victim: Victim, name: str = "f", **parameters: Any) -> PlannedFault:
    """Plan one fault as the engine does."""
    return PlannedFault(f"{name}-{time.monotonic_ns()}", kind, "a test", REGISTRY[kind].hand, victim, parameters)


async def walk(reach: Reach, fault: PlannedFault) -> dict[str, Any]:
    """Take a fault through its whole life and return what was seen, with the seconds it took."""
    kind = REGISTRY[fault.kind]
    undo = kind.undo(fault, reach)
    assert reach.keeper
    if undo:
        await reach.keeper.register(fault.id, undo)
    await resource.create(reach.kube, fault, reach.keeper.run, undo)
    seen: dict[str, Any] = {"kind": fault.kind}
    began = time.monotonic()
    with anyio.fail_after(120):
        seen["facts"] = await kind.inject(fault, reach)
        seen["felt"] = await kind.felt(fault, reach)
        seen["felt_after"] = round(time.monotonic() - began, 2)
        began = time.monotonic()
        await kind.heal(fault, reach)
        seen["undone_after"] = round(time.monotonic() - began, 2)
        seen["healed"] = await kind.healed(fault, reach)
        seen["healed_after"] = round(time.monotonic() - began, 2)
    await reach.keeper.forget(fault.id)
    await resource.delete(reach.kube, fault)
    assert reach.cluster
    assert fault.id not in await client.owed(reach.cluster.keeper_socket)
    print(json.dumps(seen, default=str))
    return seen


async def test_a_killed_pod_is_replaced(reach: Reach, kube: Kube) -> None:
    victim = await pod_of(kube)
    seen = await walk(reach, planned("pod_kill", victim, grace=0))
    assert seen["felt"]["replacement_uid"] not in ("", victim.uid)
    assert seen["healed"]["ready"] >= seen["healed"]["desired"] == 2


async def test_a_pod_that_was_replaced_before_is_not_touched(reach: Reach, kube: Kube) -> None:
    victim = await pod_of(kube)
    stale = Victim("pod", victim.name, "00000000-0000-0000-0000-000000000000", NAMESPACE, victim.node)
    for kind in ("pod_kill", "pod_evict", "container_kill", "pod_freeze"):
        with pytest.raises(InjectionFailed, match="deleted between"):
            await REGISTRY[kind].inject(planned(kind, stale), reach)
    assert (await kube.get(api.pods(NAMESPACE, victim.name)))["metadata"]["uid"] == victim.uid


async def test_the_budget_refuses_the_second_eviction(reach: Reach, kube: Kube) -> None:
    first = await pod_of(kube)
    second = await pod_of(kube, besides=first.uid)
    faults = [planned("pod_evict", victim, f"e{number}") for number, victim in enumerate((first, second))]
    async with anyio.create_task_group() as group:
        for fault in faults:
            group.start_soon(REGISTRY["pod_evict"].inject, fault, reach)
    answers = [data for kind, data in reach.notes["observed"]["events"] if kind == "eviction"]
    assert [(data["status"], data["allowed"]) for data in answers] == [(201, 1), (429, 0)]
    assert {data["desired"] for data in answers} == {1}
    for fault in faults:
        assert await REGISTRY["pod_evict"].felt(fault, reach)
        await REGISTRY["pod_evict"].healed(fault, reach)


async def test_an_eviction_with_a_deadline_asks_again(reach: Reach, kube: Kube) -> None:
    first = await pod_of(kube)
    second = await pod_of(kube, besides=first.uid)
    one, two = planned("pod_evict", first, "e1"), planned("pod_evict", second, "e2", deadline=60.0)
    await REGISTRY["pod_evict"].inject(one, reach)
    facts = await REGISTRY["pod_evict"].inject(two, reach)
    assert facts["status"] == 201
    assert facts["attempts"] > 1
    for fault in (one, two):
        await REGISTRY["pod_evict"].healed(fault, reach)


async def test_a_killed_container_starts_again_in_its_pod(reach: Reach, kube: Kube) -> None:
    victim = await pod_of(kube)
    seen = await walk(reach, planned("container_kill", victim))
    assert seen["felt"]["exit_code"] == 137
    assert seen["healed"]["id"] not in ("", seen["facts"]["id"])
    assert (await kube.get(api.pods(NAMESPACE, victim.name)))["metadata"]["uid"] == victim.uid


async def test_a_frozen_pod_answers_nothing_until_it_thaws(reach: Reach, kube: Kube) -> None:
    victim = await pod_of(kube)
    seen = await walk(reach, planned("pod_freeze", victim))
    assert "silent" in seen["felt"].get("request", "") or seen["felt"].get("ready") is False
    assert seen["healed"] == {"ready": True, "request": "answered"}


async def test_a_pod_that_its_liveness_probe_gave_up_while_frozen_comes_back(reach: Reach, kube: Kube) -> None:
    fault = planned("pod_freeze", await pod_of(kube))
    kind = REGISTRY["pod_freeze"]
    assert reach.keeper
    await reach.keeper.register(fault.id, kind.undo(fault, reach))
    await kind.inject(fault, reach)

    async def given_up() -> bool:
        events = await kube.list(
            f"/api/v1/namespaces/{NAMESPACE}/events", fields=f"involvedObject.uid={fault.victim.uid}"
        )
        return any(item["reason"] == "Killing" for item in events)

    await until(given_up)
    await kind.heal(fault, reach)
    with anyio.fail_after(120):
        print(await kind.healed(fault, reach))


async def test_a_cordoned_node_is_uncordoned(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    seen = await walk(reach, planned("node_cordon", victim))
    assert seen["felt"]["unschedulable"] is True
    node = await kube.get(api.nodes(victim.name))
    assert "unschedulable" not in node["spec"]
    assert nodes.CORDONED_BY not in node["metadata"].get("annotations", {})


async def test_a_node_that_someone_else_cordoned_stays_cordoned(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    await kube.patch(api.nodes(victim.name), {"spec": {"unschedulable": True}})
    try:
        fault = planned("node_cordon", victim)
        assert reach.keeper
        await reach.keeper.register(fault.id, REGISTRY["node_cordon"].undo(fault, reach))
        with pytest.raises(InjectionFailed, match="cordoned already"):
            await REGISTRY["node_cordon"].inject(fault, reach)
        await REGISTRY["node_cordon"].heal(fault, reach)
        await reach.keeper.heal(fault.id)
        assert (await kube.get(api.nodes(victim.name)))["spec"]["unschedulable"] is True
    finally:
        await kube.patch(api.nodes(victim.name), {"spec": {"unschedulable": None}})


async def test_a_drained_node_loses_its_pods_and_takes_pods_again(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    seen = await walk(reach, planned("node_drain", victim, deadline=60.0))
    assert any(name.startswith(NAMESPACE) for name in seen["felt"]["evicted"])
    assert "unschedulable" not in (await kube.get(api.nodes(victim.name)))["spec"]


async def test_a_frozen_node_falls_silent_and_answers_again(reach: Reach, kube: Kube) -> None:
    seen = await walk(reach, planned("node_freeze", await node_of(kube)))
    assert seen["felt"]["kubelet"] == "silent"
    assert seen["healed"]["ready"] is True


async def test_a_stopped_node_comes_back_with_its_address(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    seen = await walk(reach, planned("node_stop", victim))
    assert reach.keeper
    assert (await reach.keeper.inspect(victim.name))["addresses"] == seen["facts"]["addresses"]


# -- a run that dies ------------------------------------------------------------------------------------------------

CHILD = """
import sys, json, anyio
from pathlib import Path
from harness.cluster import local
from harness.cluster.kube import Kube
from harness.engine.lease import Lease
from harness.faults import REGISTRY, Reach, resource
from harness.keeper.client import Keeper
from harness.model.plan import PlannedFault, Victim

async def main(run, kind, victim, lease_seconds):
    cluster = local.current()
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        keeper = await Keeper.connect(cluster.keeper_socket, run, lease_seconds)
        await Lease(kube, run).acquire(holder_is_dead=True)
        reach = Reach(kube, keeper, cluster)
        fault = PlannedFault(f"{run}-1", kind, "a test", REGISTRY[kind].hand, Victim(**victim), {})
        undo = REGISTRY[kind].undo(fault, reach)
        await keeper.register(fault.id, undo)
        await resource.create(kube, fault, run, undo)
        await REGISTRY[kind].inject(fault, reach)
        print("injected", flush=True)
        while True:
            await anyio.sleep(0.5)
            await keeper.beat()

anyio.run(main, sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), float(sys.argv[4]))
"""


@contextlib.contextmanager
def child(
    kind: str, victim: Victim, lease_seconds: float = LEASE_SECONDS
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a process that injects one fault and then lives on."""
    run = f"dying-{time.monotonic_ns()}"
    values = json.dumps({name: getattr(victim, name) for name in victim.__dataclass_fields__})
    argv = [sys.executable, "-c", CHILD, run, kind, values, str(lease_seconds)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        assert process.stdout.readline() == "injected\n"
        yield run, process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def clean(kube: Kube, cluster: LocalCluster, run: str) -> None:
    """Wait until ledger, Fault resources and Lease say that a run is over."""

    async def settled() -> bool:
        status = await client.status(cluster.keeper_socket)
        left = [item for item in await resource.list_all(kube) if item["spec"]["run"] == run]
        lease = await kube.get(f"{LEASES}/chaos-run")
        expired = lease["metadata"].get("annotations", {}).get("chaos.harness.dev/expired") == run
        return not status["owed"] and not status["dead"] and not left and expired

    await until(settled)


@pytest.mark.parametrize("kind", ["node_freeze", "node_stop"])
async def test_a_killed_run_gives_the_node_back(workload: LocalCluster, kube: Kube, kind: str) -> None:
    victim = await node_of(kube)
    reach, fault = Reach(kube), planned(kind, victim)
    await nodes.prepare(fault, reach)
    with child(kind, victim) as (run, process):
        killed = time.monotonic()
        process.kill()
        await clean(kube, workload, run)
        print(f"{kind}: all told {time.monotonic() - killed:.2f} s after the kill")
        keeper = await Keeper.connect(workload.keeper_socket, "undo", LEASE_SECONDS)
        state = await keeper.inspect(victim.name)
        await keeper.end()
        assert (state["running"], state["paused"]) == (True, False)
    with anyio.fail_after(120):
        await nodes.back(fault, reach, restarted=kind == "node_stop")


async def test_a_killed_run_gives_the_cordon_back(workload: LocalCluster, kube: Kube) -> None:
    victim = await node_of(kube)
    with child("node_cordon", victim) as (run, process):
        assert (await kube.get(api.nodes(victim.name)))["spec"]["unschedulable"] is True
        killed = time.monotonic()
        process.kill()

        async def schedulable() -> bool:
            return "unschedulable" not in (await kube.get(api.nodes(victim.name)))["spec"]

        await until(schedulable)
        print(f"node_cordon: undone {time.monotonic() - killed:.2f} s after the kill")
        await clean(kube, workload, run)


async def test_a_killed_run_thaws_the_pod(workload: LocalCluster, kube: Kube) -> None:
    victim = await pod_of(kube)
    with child("pod_freeze", victim) as (run, process):
        process.kill()
        await clean(kube, workload, run)
    await settled(kube)


async def test_a_suspended_run_is_healed_and_harmless_when_it_wakes(workload: LocalCluster, kube: Kube) -> None:
    victim = await node_of(kube)
    with child("node_freeze", victim, lease_seconds=2.0) as (run, process):
        process.send_signal(signal.SIGSTOP)
        await clean(kube, workload, run)
        process.send_signal(signal.SIGCONT)
        assert await anyio.to_thread.run_sync(process.wait, 30) != 0
    await until(lambda: nodes.answers(kube, victim.name))


async def test_a_keeper_that_died_before_the_run_heals_when_it_starts_again(workload: LocalCluster, kube: Kube) -> None:
    victim = await node_of(kube)
    with child("node_freeze", victim) as (run, process):
        docker(workload, "kill", container.NAME)
        process.kill()
        process.wait()
        try:
            assert docker(workload, "inspect", "--format", "{{.State.Paused}}", victim.name) == "true\n"
        finally:
            docker(workload, "start", container.NAME)
        await clean(kube, workload, run)
    await until(lambda: nodes.answers(kube, victim.name))


async def test_a_deleted_fault_resource_is_not_missed(kube: Kube) -> None:
    fault = planned("pod_kill", await pod_of(kube))
    await resource.create(kube, fault, "a-run", [])
    await resource.status(kube, fault, "Injected", injected_at=0.0)
    found = next(item for item in await resource.list_all(kube) if item["spec"]["id"] == fault.id)
    assert (found["status"]["phase"], found["status"]["injectedAt"]) == ("Injected", "1970-01-01T00:00:00Z")
    assert resource.planned(found) == fault
    await resource.delete(kube, fault)
    await resource.delete(kube, fault)
    await resource.status(kube, fault, "Healed")
    with pytest.raises(ApiError):
        await kube.get(f"{resource.collection(fault)}/{resource.name(fault)}")
