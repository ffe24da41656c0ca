"""Bring the local cluster up, repair it, and take it down again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio

from harness.cluster import command, daemon, docker, kind, local, nodeimage
from harness.cluster.cache import Progress, cache_dir, locked
from harness.cluster.kube import Kube, deployments, nodes, pods
from harness.cluster.local import LocalCluster
from harness.errors import HarnessError, PreconditionFailed

READY_SECONDS = 180.0
REPAIR_SECONDS = 120.0
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
DISK_NEEDED = 8 * 2**30


def up(progress: Progress) -> LocalCluster:
    """Return the running local cluster, created or repaired where necessary."""
    cluster = healthy()
    if cluster:
        return cluster
    with locked("up", progress):
        cluster = healthy()
        if cluster:
            return cluster
        _check_disk()
        host = daemon.ensure(progress)
        cluster = _repaired(host, progress) or _created(host, progress)
        local.save(cluster)
        return cluster


def healthy() -> LocalCluster | None:
    """Return the local cluster when all of it is well; ask as little as that takes."""
    cluster = local.current()
    if cluster is None or not docker.ping(cluster.docker_host):
        return None
    with suppress(HarnessError):
        states = kind.node_states(cluster.docker_host)
        running = set(states) == set(cluster.nodes) and set(states.values()) == {"running"}
        if running and not not_ready(cluster):
            return cluster
    return None


def not_ready(cluster: LocalCluster, since: float | None = None) -> list[str]:
    """Name what of the cluster is not ready now; what a node said before `since` (wall time) does not count."""
    return anyio.run(_not_ready, cluster, since)


async def _not_ready(cluster: LocalCluster, since: float | None) -> list[str]:
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        found = await kube.list(nodes())
        waiting = [f"node {n['metadata']['name']}" for n in found if not is_ready(n)]
        waiting += ["a node that has not joined"] * (len(cluster.nodes) - len(found))
        dns = await kube.get(deployments("kube-system", "coredns"))
        if not dns.get("status", {}).get("availableReplicas"):
            waiting.append("cluster DNS")
        if since is not None:
            leases = await kube.list(LEASES)
            waiting += [f"node {x['metadata']['name']}" for x in leases if renewed(x) < since]
            system = await kube.list(pods("kube-system"))
            waiting += [f"pod {p['metadata']['name']}" for p in system if not is_ready(p)]
        return waiting


def is_ready(thing: dict[str, Any]) -> bool:
    """Say whether a node or a pod reports itself ready."""
    conditions: Sequence[dict[str, Any]] = thing.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def renewed(lease: dict[str, Any]) -> float:
    """Return when a node last renewed its lease, as wall time."""
    text = str(lease.get("spec", {}).get("renewTime") or "1970-01-01T00:00:00Z")
    return datetime.fromisoformat(text).timestamp()


def wait_ready(cluster: LocalCluster, progress: Progress, *, seconds: float) -> None:
    """Wait until every node, what runs in kube-system and the cluster's DNS are ready, as said from now on."""
    progress("waiting for the nodes and the cluster's DNS: about 20 s")
    since, until = time.time(), time.monotonic() + seconds
    waiting = ["the API server"]
    while time.monotonic() < until:
        try:
            waiting = not_ready(cluster, since)
            if not waiting:
                return
        except HarnessError:
            waiting = ["the API server"]
        time.sleep(1)
    raise PreconditionFailed(
        f"the local cluster is not ready after {seconds:.0f} s",
        where=cluster.context,
        why=f"still waiting for {', '.join(waiting)}",
        hint="run `harness down`, then `harness up`",
    )


def _created(host: str, progress: Progress) -> LocalCluster:
    image, _ = nodeimage.ensure(host, progress)
    try:
        kind.create(host, image, progress)
        cluster = kind.describe(host)
        wait_ready(cluster, progress, seconds=READY_SECONDS)
    except HarnessError:
        local.forget()
        raise
    return cluster


def _repaired(host: str, progress: Progress) -> LocalCluster | None:
    states = kind.node_states(host)
    if not states:
        return None
    expected = len(kind.read_config()["nodes"])
    try:
        if len(states) != expected:
            raise PreconditionFailed(f"{len(states)} of {expected} nodes are left")
        stopped = sorted(name for name, state in states.items() if state in ("exited", "created"))
        paused = sorted(name for name, state in states.items() if state == "paused")
        if paused:
            progress(f"waking frozen nodes: {', '.join(paused)}")
            docker.docker(host, "unpause", *paused)
        if stopped:
            progress(f"starting stopped nodes: {', '.join(stopped)}")
            docker.docker(host, "start", *stopped, deadline=120)
        _refresh_dns(host, sorted(set(states) - set(stopped)))
        cluster = kind.describe(host)
        kind.export_kubeconfig(host, progress)
        wait_ready(cluster, progress, seconds=REPAIR_SECONDS)
    except HarnessError as error:
        progress(f"the cluster cannot be repaired ({error.what}): making a new one")
        kind.delete(host)
        return None
    return cluster


def _refresh_dns(host: str, names: Sequence[str]) -> None:
    # A daemon that was restarted has moved its resolver; only our own node image has this command.
    for name in names:
        docker.result(host, "exec", name, "node-dns", deadline=20)


def _check_disk() -> None:
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < DISK_NEEDED:
        raise PreconditionFailed(
            f"only {free / 2**30:.1f} GiB of disk are free, {DISK_NEEDED / 2**30:.0f} are needed",
            where=str(folder),
            hint="free some space, or name another folder with HARNESS_CACHE",
        )


def down(progress: Progress) -> list[str]:
    """Remove the local cluster and its network; keep what was built. Return what was removed."""
    host = daemon.find()
    removed: list[str] = []
    if host:
        removed += kind.delete(host)
        ours = sorted(docker.states(host, dict([docker.LABEL.split("=")])))
        if ours:
            docker.docker(host, "rm", "--force", "--volumes", *ours, deadline=120)
            removed += ours
        if docker.result(host, "network", "rm", kind.NETWORK).returncode == 0:
            removed.append(f"network {kind.NETWORK}")
    for file in (kind.kubeconfig_path(), local.record_path()):
        if file.exists():
            file.unlink()
            removed.append(str(file))
    # Whatever the keeper's ledger names is gone with the nodes.
    shutil.rmtree(cache_dir() / "keeper", ignore_errors=True)
    if daemon.stop():
        removed.append("the private Docker daemon")
    for name in removed:
        progress(f"removed {name}")
    return removed


def clean(progress: Progress) -> list[str]:
    """Remove everything the harness made on this machine: cluster, images, daemon and cache."""
    host = daemon.find()
    removed: list[str] = []
    if host and host != daemon.private_host():
        tags = docker.docker(host, "image", "ls", "--filter", f"label={docker.LABEL}", "--format", "{{.ID}}").split()
        if tags:
            docker.result(host, "image", "rm", "--force", *sorted(set(tags)), deadline=120)
            removed.append(f"{len(set(tags))} images")
    removed += down(progress)
    for folder in (cache_dir(), daemon.runtime()):
        if folder.exists():
            _remove_tree(folder)
            removed.append(str(folder))
            progress(f"removed {folder}")
    return removed


def _remove_tree(folder: Path) -> None:
    # A daemon mounts its data root onto itself and leaves that behind.
    mounts = Path("/proc/self/mountinfo")
    mounted = [line.split()[4] for line in mounts.read_text().splitlines()] if mounts.exists() else []
    for point in sorted(mounted, reverse=True):
        if Path(point).is_relative_to(folder):
            command.ask(["umount", "--lazy", point], check=False)
    # Go keeps its module cache read-only.
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)
