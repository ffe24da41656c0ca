"""Bring the local cluster up: create it, or repair what there is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import anyio

from harness.cluster import daemon, disk, docker, footprint, kind, local
from harness.cluster.build import nodeimage
from harness.cluster.cache import Progress, digest, locked, project_root
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.cluster.paths import deployments, nodes, pods
from harness.errors import HarnessError, PreconditionFailed

READY_SECONDS = 180.0
REPAIR_SECONDS = 120.0
START_SECONDS = 120.0
DNS = deployments("kube-system", "coredns")
# Where kubeadm's first pods of it happen to be; later ones would go to workers, and every fault of a node reach them.
HOME = {"node-role.kubernetes.io/control-plane": ""}
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
AGAIN = "`harness up` tries again"
ENDED = ("Succeeded", "Failed")
# What of kube-system the cluster itself is made of, besides the control plane; the last two are the networks.
SYSTEM = {"kube-proxy", "kube-dns", "kindnet", "chaos-ptp"}


def up(progress: Progress, *, stack: bool = True) -> LocalCluster:
    """Return the running local cluster, created or repaired where necessary; a new one has room for the stack, too."""
    check_platform()
    cluster = healthy()
    if cluster and cluster.checkout == str(project_root()):
        return cluster
    with locked("up", progress):
        cluster = healthy()
        if cluster:
            return _taken_over(cluster, progress)
        host = daemon.ensure(progress)
        daemon.refuse_client(host)
        daemon.refuse_distant(host)
        kind.refuse_others(host)
        # Nodes that are there have changed it already.
        if not kind.node_states(host):
            footprint.note(footprint.CLUSTER)
        cluster = _repaired(host, progress) or _created(host, progress, stack=stack)
        local.save(cluster)
        return cluster


def _taken_over(cluster: LocalCluster, progress: Progress) -> LocalCluster:
    """Say so where another checkout brought the cluster up last: what is on it will be this one's."""
    here = str(project_root())
    if cluster.checkout == here:
        return cluster
    if other := _elsewhere(cluster):
        progress(f"this cluster was brought up from {other}; from now on it is as this checkout has it")
    local.save(mine := replace(cluster, checkout=here))
    return mine


def _elsewhere(cluster: LocalCluster) -> str:
    """Return the other checkout that brought the cluster up last, where there is one and it is still there."""
    other = cluster.checkout
    return other if other != str(project_root()) and os.access(other, os.F_OK) else ""


def healthy() -> LocalCluster | None:
    """Return the local cluster when all of it is well; ask as little as that takes."""
    cluster = local.current()
    if cluster is None or not is_current(cluster) or not docker.ping(cluster.docker_host):
        return None
    with suppress(HarnessError):
        states = kind.node_states(cluster.docker_host)
        running = set(states) == set(cluster.nodes) and set(states.values()) == {"running"}
        if running and not not_ready(cluster):
            return cluster
    return None


def key(image: str) -> str:
    """Return a short hash of everything that decides what a cluster with this node image is like."""
    return digest([project_root() / "kind-config.yaml", project_root() / "images" / "audit"], image)


def is_current(cluster: LocalCluster) -> bool:
    """Say whether the cluster was made from what the project holds now, whichever node image it got."""
    return cluster.key in (key(nodeimage.built_tag()), key(nodeimage.PUBLISHED))


def not_ready(cluster: LocalCluster, since: float | None = None) -> list[str]:
    """Name what of the cluster is not ready now; what a node said before `since` (wall time) does not count."""
    return anyio.run(_not_ready, cluster, since)


async def _not_ready(cluster: LocalCluster, since: float | None) -> list[str]:
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        found = await kube.list(nodes())
        waiting = [f"node {n['metadata']['name']}" for n in found if not is_ready(n)]
        waiting += ["a node that has not joined"] * (len(cluster.nodes) - len(found))
        dns = await kube.get(DNS)
        if not dns.get("status", {}).get("availableReplicas") or not HOME.items() <= _chosen(dns).items():
            waiting.append("cluster DNS")
        if since is not None:
            leases = await kube.list(LEASES)
            waiting += [f"node {x['metadata']['name']}" for x in leases if renewed(x) < since]
            system = [p for p in await kube.list(pods("kube-system")) if _is_awaited(p)]
            waiting += [f"pod {p['metadata']['name']}" for p in system if not is_ready(p)]
        return waiting


def _chosen(deployment: dict[str, Any]) -> dict[str, str]:
    """Return what a node must have for the pods of a Deployment."""
    return deployment.get("spec", {}).get("template", {}).get("spec", {}).get("nodeSelector") or {}


async def _keep_dns(cluster: LocalCluster) -> None:
    """Keep the cluster's DNS on the control plane."""
    spec = {"template": {"spec": {"nodeSelector": HOME}}}
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        await kube.patch(DNS, {"spec": spec}, kind="strategic")


def _is_awaited(pod: dict[str, Any]) -> bool:
    """Say whether a pod of kube-system is part of the cluster and has not ended; users put pods there too."""
    labels = pod["metadata"].get("labels") or {}
    part = labels.get("tier") == "control-plane" or not SYSTEM.isdisjoint((labels.get("k8s-app"), labels.get("app")))
    return part and pod["status"].get("phase") not in ENDED


def is_ready(thing: dict[str, Any]) -> bool:
    """Say whether a node or a pod reports itself ready."""
    conditions: Sequence[dict[str, Any]] = thing.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def renewed(lease: dict[str, Any]) -> float:
    """Return when a node last renewed its lease, as wall time."""
    text = str(lease.get("spec", {}).get("renewTime") or "1970-01-01T00:00:00Z")
    return datetime.fromisoformat(text).timestamp()


def wait_ready(cluster: LocalCluster, progress: Progress, *, seconds: float) -> None:
    """Wait until every node, the cluster's own pods and its DNS are ready, as said from now on."""
    progress("waiting for the nodes and the cluster's DNS: about 20 s")
    since, until = time.time(), time.monotonic() + seconds
    waiting, kept = ["the API server"], False
    while time.monotonic() < until:
        try:
            if not kept:
                anyio.run(_keep_dns, cluster)
                kept = True
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
        hint=kind.AFRESH,
    )


def _created(host: str, progress: Progress, *, stack: bool) -> LocalCluster:
    disk.check(host, stack=stack)
    kind.refuse_taken(host)
    image = nodeimage.ensure(host, progress)
    try:
        kind.create(host, image, progress)
        cluster = kind.describe(host, key(image))
        wait_ready(cluster, progress, seconds=READY_SECONDS)
    except HarnessError:
        local.forget()
        raise
    return cluster


def _repaired(host: str, progress: Progress) -> LocalCluster | None:
    states = kind.node_states(host)
    if not states:
        return None
    recorded, expected = local.current(), len(kind.read_config()["nodes"])
    if recorded is None:
        beyond = "the cluster was left unfinished, or its record is lost"
    elif not is_current(recorded):
        of = f", {other}" if (other := _elsewhere(recorded)) else ""
        beyond = f"the cluster was made by another version of the harness{of}"
    elif len(states) != expected:
        beyond = f"the cluster cannot be repaired: {len(states)} of {expected} nodes are left"
    else:
        # Only a node that refuses to start costs the cluster: whatever else fails now may have its reason elsewhere.
        program = kind.executable(progress)
        beyond = _start_nodes(host, states, progress)
        if not beyond:
            cluster = kind.describe(host, recorded.key)
            kind.export_kubeconfig(host, program)
            wait_ready(cluster, progress, seconds=REPAIR_SECONDS)
            return cluster
    progress(f"{beyond}: making a new one")
    kind.delete(host)
    return None


def _start_nodes(host: str, states: dict[str, str], progress: Progress) -> str:
    """Have every node run; return why one refuses to."""
    if kind.stopped_planes(host):
        kind.check_ports(kind.read_config())
    stopped = sorted(name for name, state in states.items() if state in kind.STOPPED)
    paused = sorted(name for name, state in states.items() if state == "paused")
    for names, word, what in ((paused, "unpause", "waking frozen"), (stopped, "start", "starting stopped")):
        if names:
            progress(f"{what} nodes: {', '.join(names)}")
            done = docker.result(host, word, *names, deadline=START_SECONDS, hint=AGAIN)
            now = kind.node_states(host)
            if done.returncode != 0 and any(now.get(name) != "running" for name in names):
                return f"the cluster cannot be repaired: {done.stderr.strip()}"
    _refresh_dns(host, sorted(set(states) - set(stopped)))
    return ""


def _refresh_dns(host: str, names: Sequence[str]) -> None:
    # A daemon that was restarted has moved its resolver; only our own node image has this command.
    for name in names:
        docker.result(host, "exec", name, "node-dns", deadline=20, hint=AGAIN)


def check_platform() -> None:
    """Refuse a system on which no local cluster can be had; raises PreconditionFailed."""
    if sys.platform != "linux":
        raise PreconditionFailed(
            "a local cluster needs Linux",
            where=sys.platform,
            why="elsewhere Docker keeps its containers in another machine: the keeper's socket cannot be reached yet",
            hint="run the harness inside a Linux machine, or use another cluster with --context",
        )
