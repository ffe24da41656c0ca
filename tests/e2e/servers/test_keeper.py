"""A run whose process is killed or suspended gives back what it broke."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import anyio
import pytest

from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.errors import ApiError
from harness.keeper import client, container
from harness.keeper.client import Keeper
from harness.model.fault import Phase
from harness.model.plan import Victim
from harness.resources import resource
from harness.targets import nodes
from harness.targets.reach import Reach
from tests.e2e.live import docker
from tests.e2e.victims import LEASE, LEASE_SECONDS, node_of, planned, pod_of, until

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]


CHILD = """
import sys, json, anyio
from pathlib import Path
from harness.cluster import local
from harness.cluster.kube import Kube
from harness.engine.lease import Leases
from harness.engine.preflight.scope import Scope
from harness.faults import FAULTS
from harness.targets.reach import Reach
from harness.resources import resource
from harness.keeper.client import Keeper
from harness.model.fault import Phase
from harness.model.plan import PlannedFault, Victim

async def main(run, kind, victim, lease_seconds):
    cluster = local.current()
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        keeper = await Keeper.connect(cluster.keeper_socket, run, lease_seconds)
        await Leases(kube, run, Scope(), (), kept=True).acquire(holder_is_dead=True)
        reach = Reach(kube, keeper, cluster)
        fault = PlannedFault(f"{run}-1", kind, "a test", FAULTS[kind].hand, Victim(**victim), {})
        undo = FAULTS[kind].undo(fault, reach)
        await keeper.register(fault.id, undo)
        await resource.create(kube, fault, run, undo)
        await FAULTS[kind].inject(fault, reach)
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
        lease = await kube.get(LEASE)
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
        assert (await kube.get(paths.nodes(victim.name)))["spec"]["unschedulable"] is True
        killed = time.monotonic()
        process.kill()

        async def schedulable() -> bool:
            return "unschedulable" not in (await kube.get(paths.nodes(victim.name)))["spec"]

        await until(schedulable)
        print(f"node_cordon: undone {time.monotonic() - killed:.2f} s after the kill")
        await clean(kube, workload, run)


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
    await resource.status(kube, fault, Phase.FELT)
    with pytest.raises(ApiError):
        await kube.get(f"{resource.collection(fault)}/{resource.name(fault)}")
