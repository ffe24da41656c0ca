"""Faults on resources on a real cluster: what the kernel and the kubelet say of them, and that nothing is left."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from bench.dying import workload as servers
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.errors import InjectionFailed
from harness.faults import FAULTS
from harness.model.plan import PlannedFault, Victim
from harness.resources import resource
from harness.targets import containers
from harness.targets.reach import Reach
from harness.workloads.pod import is_ready
from tests.e2e.live import docker, kubectl
from tests.e2e.test_dying import HEAL_SECONDS, Run, seconds_until, tell
from tests.e2e.victims import NAMESPACE, SERVER, agents_renewed, looked_after, planned, until, written

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
APP = "strained"
LIMIT_BYTES = 64 << 20
MARK = "CHAOS_HARNESS_FAULT"


@pytest.fixture(scope="module", autouse=True)
def strained(workload: LocalCluster, image: str) -> None:
    """One web server with limits."""
    labels = {"app": APP}
    web = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", SERVER],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 5},
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": "200m", "memory": "64Mi"},
        },
        "volumeMounts": [{"name": "small", "mountPath": "/small"}, {"name": "large", "mountPath": "/large"}],
    }
    small = {"name": "small", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}
    volumes = [small, {"name": "large", "emptyDir": {"sizeLimit": "32Mi"}}]
    spec = {"terminationGracePeriodSeconds": 2, "containers": [web], "volumes": volumes}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": APP},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }

    async def make() -> None:
        async with Kube.connect(workload.kubeconfig, workload.context) as kube:
            await kube.patch(paths.deployments(NAMESPACE, APP), deployment, kind="apply")

            async def ready() -> bool:
                found = await kube.list(paths.pods(NAMESPACE), labels=f"app={APP}")
                return len(found) == 1 and is_ready(found[0])

            await until(ready)

    anyio.run(make)


async def _victim(kube: Kube) -> Victim:
    (item,) = await kube.list(paths.pods(NAMESPACE), labels=f"app={APP}")
    metadata = item["metadata"]
    return Victim("pod", metadata["name"], metadata["uid"], NAMESPACE, item["spec"]["nodeName"], container="web")


def _inside(cluster: LocalCluster, victim: Victim, file: str) -> str:
    """Read a file of the container's control group, as the container itself sees it."""
    return kubectl(cluster, "-n", NAMESPACE, "exec", victim.name, "--", "sh", "-c", f"cat {file} 2>/dev/null || true")


def _left(cluster: LocalCluster) -> list[str]:
    """List the processes of faults on any node, by the mark in their environment."""
    look = f"grep -ls {MARK} /proc/[0-9]*/environ; true"
    return [one for node in cluster.nodes.values() for one in docker(cluster, "exec", node, "sh", "-c", look).split()]


@asynccontextmanager
async def broken(reach: Reach, fault: PlannedFault) -> AsyncIterator[dict[str, Any]]:
    """Have a fault as the engine does, and give the evidence; it is healed afterwards."""
    kind = FAULTS[fault.kind]
    await written(reach, fault)
    try:
        with anyio.fail_after(90):
            await kind.inject(fault, reach)
            felt = await kind.felt(fault, reach)
        assert felt
        yield felt
    finally:
        with anyio.fail_after(120, shield=True):
            await kind.heal(fault, reach)
            await kind.healed(fault, reach)
        await resource.delete(reach.kube, fault)


def _throttled(cluster: LocalCluster, victim: Victim) -> int:
    words = _inside(cluster, victim, "/sys/fs/cgroup/cpu/cpu.stat /sys/fs/cgroup/cpu.stat").split()
    return int(words[words.index("nr_throttled") + 1])


async def test_a_container_is_throttled_and_free_again(
    as_found: None, leased: Reach, workload: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = await _victim(leased.kube)
    before = _throttled(workload, victim)
    async with broken(leased, planned("pod_cpu_stress", victim, "cpu")) as felt:
        with capsys.disabled():
            print(f"\n    {felt}", end="", flush=True)
        assert _throttled(workload, victim) > before
        assert _left(workload)
    assert _left(workload) == []


async def test_a_containers_memory_is_held_at_a_share_of_its_limit_and_given_back(
    as_found: None, leased: Reach, workload: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = await _victim(leased.kube)
    async with broken(leased, planned("pod_memory_stress", victim, "memory", share=0.8)) as felt:
        with capsys.disabled():
            print(f"\n    {felt}", end="", flush=True)
        assert _used(workload, victim) >= 0.75 * LIMIT_BYTES
    assert _used(workload, victim) < 0.75 * LIMIT_BYTES
    assert _left(workload) == []


async def test_the_targets_own_process_is_ended_for_lack_of_memory_and_starts_again(
    as_found: None, leased: Reach, workload: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = await _victim(leased.kube)
    path = paths.pods(NAMESPACE, victim.name)
    (before,) = (await leased.kube.get(path))["status"]["containerStatuses"]
    async with broken(leased, planned("pod_memory_oom", victim, "oom")) as felt:
        with capsys.disabled():
            print(f"\n    {felt}", end="", flush=True)
        assert felt["reason"] == "OOMKilled"
    (status,) = (await leased.kube.get(path))["status"]["containerStatuses"]
    assert status["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert status["restartCount"] == before["restartCount"] + 1
    assert _left(workload) == []


async def test_a_volume_is_full_for_its_container_and_empty_again(
    as_found: None, leased: Reach, workload: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = await _victim(leased.kube)
    write = "dd if=/dev/zero of=/small/file bs=1k count=64 2>&1; rm -f /small/file"
    words = ("-n", NAMESPACE, "exec", victim.name, "--", "sh", "-c", write)
    assert "No space left" not in kubectl(workload, *words)
    async with broken(leased, planned("pod_disk_fill", victim, "disk", volume="small", share=1.0)) as felt:
        with capsys.disabled():
            print(f"\n    {felt}", end="", flush=True)
        assert "No space left" in kubectl(workload, *words)
    assert "No space left" not in kubectl(workload, *words)
    assert _left(workload) == []


async def test_a_disk_is_kept_busy_through_a_volume(
    as_found: None, leased: Reach, workload: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = await _victim(leased.kube)
    async with broken(leased, planned("pod_io_stress", victim, "io", volume="large")) as felt:
        with capsys.disabled():
            print(f"\n    {felt}", end="", flush=True)
    assert kubectl(workload, "-n", NAMESPACE, "exec", victim.name, "--", "ls", "/large") == ""
    assert _left(workload) == []


def _limit_pids(cluster: LocalCluster, victim: Victim, identity: str, most: str) -> str:
    """Limit the container's processes in the kubelet's place, which limits all pods of a node or none; say what was."""
    script = f"for f in $(find /sys/fs/cgroup -path '*{identity}*' -name pids.max); do cat $f; echo {most} >$f; done"
    return docker(cluster, "exec", cluster.nodes[victim.node], "sh", "-c", script).split()[0]


async def test_nothing_more_can_be_started_in_a_container_and_all_can_again(
    as_found: None, leased: Reach, workload: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = await _victim(leased.kube)
    item = await leased.kube.get(paths.pods(NAMESPACE, victim.name))
    identity = containers.identity(item["status"]["containerStatuses"][0])
    usual = _limit_pids(workload, victim, identity, "60")
    try:
        async with broken(leased, planned("pod_pids", victim, "pids")) as felt:
            with capsys.disabled():
                print(f"\n    {felt}", end="", flush=True)
            assert "60 processes" in felt["counted"]
        assert _left(workload) == []
    finally:
        _limit_pids(workload, victim, identity, usual)


async def test_a_pod_whose_processes_are_not_limited_is_refused_by_the_agent(leased: Reach) -> None:
    victim = await _victim(leased.kube)
    with pytest.raises(InjectionFailed, match="pids limit"):
        async with broken(leased, planned("pod_pids", victim, "unlimited")):
            pass


async def test_a_process_is_stopped_and_goes_on(
    as_found: None, leased: Reach, workload: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = await _victim(leased.kube)
    async with broken(leased, planned("pod_signal", victim, "stop", signal="STOP")) as felt:
        with capsys.disabled():
            print(f"\n    {felt}", end="", flush=True)
        assert felt["process"] == "stopped"
        assert _state(workload, victim) == "T"
    assert _state(workload, victim) != "T"


async def test_a_signal_with_a_handler_ends_the_container_and_it_starts_again(leased: Reach) -> None:
    victim = await _renewed(leased.kube)
    item = await leased.kube.get(paths.pods(NAMESPACE, victim.name))
    restarts = item["status"]["containerStatuses"][0]["restartCount"]
    async with broken(leased, planned("pod_signal", victim, "term", signal="TERM")) as felt:
        assert felt["process"] == "handled"

    async def anew() -> bool:
        item = await leased.kube.get(paths.pods(NAMESPACE, victim.name))
        return is_ready(item) and item["status"]["containerStatuses"][0]["restartCount"] > restarts

    await until(anew)


def _files(cluster: LocalCluster, victim: Victim) -> int:
    """Return how many files the container's first process may have open."""
    lines = _inside(cluster, victim, "/proc/1/limits").splitlines()
    return int(next(line for line in lines if line.startswith("Max open files")).split()[3])


async def test_a_process_can_open_no_more_files_and_can_again(
    as_found: None, leased: Reach, workload: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = await _victim(leased.kube)
    before = _files(workload, victim)
    async with broken(leased, planned("pod_fds", victim, "fds")) as felt:
        with capsys.disabled():
            print(f"\n    {felt}", end="", flush=True)
        assert _files(workload, victim) < 50
    assert _files(workload, victim) == before


async def test_a_limit_on_files_is_given_back_when_the_agent_is_killed(
    as_found: None, leased: Reach, workload: LocalCluster
) -> None:
    await agents_renewed(leased.kube)
    victim = await _victim(leased.kube)
    before = _files(workload, victim)
    async with broken(leased, planned("pod_fds", victim, "orphaned")):
        assert _files(workload, victim) < before
        kill = "pkill -KILL -f 'harness.agent.resident$'"
        docker(workload, "exec", workload.nodes[victim.node], "sh", "-c", kill, check=False)

        async def given_back() -> bool:
            return _files(workload, victim) == before

        await until(given_back, 30)


async def _renewed(kube: Kube) -> Victim:
    """Replace a pod whose container was started again, so that nobody waits for the kubelet's back-off."""
    await servers.renew(kube, NAMESPACE, f"app={APP}")

    async def anew() -> bool:
        found = await kube.list(paths.pods(NAMESPACE), labels=f"app={APP}")
        return len(found) == 1 and is_ready(found[0]) and not found[0]["status"]["containerStatuses"][0]["restartCount"]

    await until(anew)
    return await _victim(kube)


async def test_a_container_ends_again_and_again_until_it_is_let_be(
    as_found: None, leased: Reach, workload: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = await _renewed(leased.kube)
    async with looked_after(leased.kube, APP), broken(leased, planned("pod_crash_loop", victim, "loop")) as felt:
        with capsys.disabled():
            print(f"\n    {felt}", end="", flush=True)
        assert felt["waiting"] == "CrashLoopBackOff"
    item = await leased.kube.get(paths.pods(NAMESPACE, victim.name))
    assert item["status"]["containerStatuses"][0]["restartCount"] >= 2
    assert is_ready(item)


def _state(cluster: LocalCluster, victim: Victim) -> str:
    """Return the state of the container's first process."""
    return _inside(cluster, victim, "/proc/1/stat").rpartition(")")[2].split()[0]


def _used(cluster: LocalCluster, victim: Victim) -> int:
    files = "/sys/fs/cgroup/memory/memory.usage_in_bytes /sys/fs/cgroup/memory.current"
    return int(_inside(cluster, victim, files))


def test_what_burns_goes_when_the_engine_does(
    cluster: LocalCluster, as_found: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run("cpu", tmp_path)
    try:
        run.wait_for("fault.felt")
        assert _left(cluster)
        run.signal(signal.SIGKILL)
        tell(capsys, "SIGKILL, cpu stress", seconds_until(lambda: not _left(cluster), HEAL_SECONDS))
    finally:
        run.close()


async def test_what_burns_goes_when_all_of_the_agent_is_killed(
    as_found: None, leased: Reach, workload: LocalCluster
) -> None:
    await agents_renewed(leased.kube)
    victim = await _victim(leased.kube)
    async with broken(leased, planned("pod_cpu_stress", victim, "orphan")):
        assert _left(workload)
        docker(
            workload,
            "exec",
            workload.nodes[victim.node],
            "sh",
            "-c",
            "pkill -KILL -f 'harness.agent.resident$'",
            check=False,
        )

        async def gone() -> bool:
            return not _left(workload)

        await until(gone, 10)
