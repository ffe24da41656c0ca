"""Say what "as it was found" means: one line per thing a fault could have left behind.

Specs without status, owners without the names of their pods but with the labels and images that these have, ConfigMaps
and Secrets by their keys (values may change by themselves, and those of a Secret are nobody's business), nodes with
their cordons, taints and conditions, the node containers' state, frozen cgroups, packet rules (those of pods, too),
processes of ours and of faults, what is stopped, our custom resources, what keeper and agents owe. Two fingerprints are
equal when nothing was left behind, whichever pods were replaced in between. What nobody may look at is a line, too:
`unseen/...`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from harness.cluster import docker, paths
from harness.cluster.kube import Items, Kube
from harness.cluster.local import LocalCluster
from harness.engine import lease, lever
from harness.engine.preflight.scope import Scope
from harness.engine.undoing import residue
from harness.errors import ApiError, PreconditionFailed, first
from harness.hands.kind import Place
from harness.hands.known import HANDS
from harness.resources import resource
from harness.targets import keys
from harness.workloads import Owners, kinds
from harness.workloads.pod import controller, is_done, is_going

OWNERS = ("deployments", "statefulsets", "daemonsets")
SPECS = dict.fromkeys(OWNERS, "/apis/apps/v1") | {
    "services": "/api/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "resourcequotas": "/api/v1",
    "virtualservices": "/apis/networking.istio.io/v1",
    "destinationrules": "/apis/networking.istio.io/v1",
}
CONFIGS = ("configmaps", "secrets")
# Taints that the cluster itself puts on a node, and takes off again, for what its conditions and its cordon say.
CONDITIONS = {
    f"node.kubernetes.io/{what}": what
    for what in (
        *("not-ready", "unreachable", "unschedulable", "network-unavailable"),
        *("memory-pressure", "disk-pressure", "pid-pressure"),
    )
}
# A cluster deletes it when its time has come.
PASSING = "bootstrap.kubernetes.io/token"
WEBHOOKS = "webhooks"
ADMISSION = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
FORBIDDEN = "forbidden"
# Jobs come and go by themselves, and what a node owns it makes itself; the others are told of elsewhere.
COMING = frozenset({kinds.JOB, ("", "Node")})
KNOWN = frozenset({kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, *COMING})
SKIPPED_NAMESPACES = frozenset({"kube-public", "kube-node-lease"})
NODES, CONTAINERS = ("node/",), ("container/",)
# Questions about owners under way: the connections that are kept, and no burst that an API server turns away.
AT_ONCE = 20
LABELS = "labels/"
# What is written down about faults, not what they did.
WRITTEN = ("fault/", "nodefault/", "lease/", "lever")
OWED = ("keeper/", "agent/", "processes")
# All lines but those of pods that nobody owns, of what else owns some, and of their labels.
TOLD_BESIDE = (
    *(f"{kind}/" for kind in (*SPECS, WEBHOOKS)),
    *NODES,
    *CONTAINERS,
    *WRITTEN,
    *OWED,
    *(f"{kind}/" for kind in CONFIGS),
)


async def take(kube: Kube, cluster: LocalCluster | None, scope: Scope, only: Collection[str] = ()) -> dict[str, str]:
    """Return the fingerprint: what, and in which state; of a scope that is alone it is that of its namespace.

    With `only` no more is asked than tells these lines, and the rest of what was told is left out.

    Raises ClusterUnreachable when the API is away, ApiError for a refusal that is not about rights.
    """
    lines: dict[str, str] = {}

    def asked(*heads: str) -> bool:
        return not only or any(key.startswith(heads) for key in only)

    try:
        async with anyio.create_task_group() as together:
            specs = [kind for kind in (*SPECS, WEBHOOKS) if asked(f"{kind}/")]
            together.start_soon(_workloads, kube, lines, scope, specs)
            if not only or any(not key.startswith(TOLD_BESIDE) for key in only):
                together.start_soon(_owned, kube, lines, scope)
            if configs := [kind for kind in CONFIGS if asked(f"{kind}/")]:
                together.start_soon(_configs, kube, lines, scope, configs)
            if asked(*WRITTEN):
                together.start_soon(_ours, kube, lines, scope)
            if asked(*NODES) and not scope.alone:
                together.start_soon(_cluster, kube, lines)
            if asked(*OWED) and not scope.alone:
                together.start_soon(_hands, Place(kube, cluster), lines)
            if cluster and not scope.alone:
                nodes = {node: name for node, name in cluster.nodes.items() if asked(f"container/{node}/")}
                together.start_soon(_containers, cluster, nodes, lines)
    except BaseExceptionGroup as group:
        raise first(group) from group
    return {key: lines[key] for key in sorted(lines) if not only or key in only}


def digest(lines: Mapping[str, str]) -> str:
    """Shorten a fingerprint to one word."""
    return hashlib.sha256(json.dumps(dict(lines), sort_keys=True).encode()).hexdigest()[:16]


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """List what changed, one line each: gone, new, or other than before."""
    return [f"{key}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}" for key in changed(before, after)]


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Name the lines that differ; a workload that has no pod at the moment says nothing of labels."""
    differ = (key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return sorted(key for key in differ if not key.startswith(LABELS) or (key in before and key in after))


async def _seen(kube: Kube, path: str, lines: dict[str, str]) -> Items:
    """List a collection; one that is not served is empty, and one that may not be looked at is a line."""
    try:
        return await kube.list(path)
    except ApiError as error:
        if error.status not in (403, 404):
            raise
        if error.status == 403:
            lines[f"unseen/{path.rpartition('/')[2]}"] = FORBIDDEN
        return []


def _in(scope: Scope, root: str, plural: str) -> str:
    """Return the path of a collection, in the scope's namespace or in all."""
    return f"{root}/namespaces/{scope.system}/{plural}" if scope.alone else f"{root}/{plural}"


async def _cluster(kube: Kube, lines: dict[str, str]) -> None:
    for node in await _seen(kube, paths.nodes(), lines):
        name, spec = node["metadata"]["name"], node["spec"]
        lines[f"node/{name}/cordoned"] = str(bool(spec.get("unschedulable"))).lower()
        taints = spec.get("taints") or []
        lines[f"node/{name}/taints"] = _brief(sorted(_taint(item) for item in taints if item["key"] not in CONDITIONS))
        if told := {CONDITIONS[item["key"]] for item in taints if item["key"] in CONDITIONS}:
            lines[f"node/{name}/conditions"] = ", ".join(sorted(told))
        lines[f"node/{name}/labels"] = _brief(node["metadata"].get("labels", {}))
        conditions = {item["type"]: item["status"] for item in node["status"].get("conditions", [])}
        lines[f"node/{name}/ready"] = conditions.get("Ready", "Unknown")


def _taint(taint: Mapping[str, Any]) -> str:
    return f"{taint['key']}={taint.get('value', '')}:{taint['effect']}"


async def _workloads(kube: Kube, lines: dict[str, str], scope: Scope, wanted: Collection[str]) -> None:
    async def specs(kind: str, path: str) -> None:
        for item in await _seen(kube, path, lines):
            metadata = item["metadata"]
            if metadata.get("namespace") in SKIPPED_NAMESPACES:
                continue
            name = f"{kind}/{metadata.get('namespace', '')}/{metadata['name']}"
            content = {
                key: value for key, value in item.items() if key not in ("metadata", "status", "kind", "apiVersion")
            }
            if kind in OWNERS:
                lines[f"{name}/replicas"] = str(item["spec"].get("replicas", ""))
            lines[f"{name}/spec"] = _brief(content)

    async with anyio.create_task_group() as together:
        for kind, root in SPECS.items():
            if kind in wanted:
                together.start_soon(specs, kind, _in(scope, root, kind))
        if WEBHOOKS in wanted and not scope.alone:
            together.start_soon(specs, WEBHOOKS, ADMISSION)


async def _owned(kube: Kube, lines: dict[str, str], scope: Scope) -> None:
    """Tell of whatever else owns pods, and of pods that nobody owns: nobody would give them back."""
    owners, seen, labels = Owners(kube), set[str](), dict[str, set[str]]()
    pods = await _seen(kube, _in(scope, "/api/v1", "pods"), lines)
    await _meet(owners, pods)
    for pod in pods:
        metadata, workload = pod["metadata"], await owners.of(pod)
        if metadata["namespace"] in SKIPPED_NAMESPACES:
            continue
        if workload and workload.what not in COMING and not is_going(pod) and not is_done(pod):
            name = f"{LABELS}{workload.kind.lower()}/{workload.namespace}/{workload.name}"
            images = sorted({one.get("image", "") for one in pod["spec"]["containers"]})
            labels.setdefault(name, set()).add(" ".join([*sorted(metadata.get("labels") or {}), *images]))
        if workload and workload.uid in seen:
            continue
        if workload is None:
            if controller(pod) is None and not is_done(pod):
                lines[f"pods/{metadata['namespace']}/{metadata['name']}/uid"] = metadata["uid"]
            continue
        seen.add(workload.uid)
        item = await owners.read(workload) if workload.what not in KNOWN else None
        if item:
            wanted = await owners.want(workload, item)
            name = f"{workload.kind.lower()}/{workload.namespace}/{workload.name}"
            lines[f"{name}/replicas"] = str(wanted.number) if wanted.sure else ""
            lines[f"{name}/spec"] = _brief(item.get("spec"))
    lines |= {name: _brief(sorted(found)) for name, found in labels.items()}


async def _meet(owners: Owners, pods: Items) -> None:
    """Find out whose the pods are, of all at once: the first of each API hears how it is served, for the others too."""
    owned = {str(reference["uid"]): (reference, pod) for pod in pods if (reference := controller(pod))}
    first = {str(reference["apiVersion"]): pod for reference, pod in owned.values()}
    few = anyio.CapacityLimiter(AT_ONCE)

    async def meet(pod: Mapping[str, Any]) -> None:
        async with few:
            await owners.of(pod)

    for some in (first.values(), [pod for _, pod in owned.values()]):
        async with anyio.create_task_group() as together:
            for pod in some:
                together.start_soon(meet, pod)


async def _configs(kube: Kube, lines: dict[str, str], scope: Scope, wanted: Collection[str]) -> None:
    for kind in wanted:
        for item in await _seen(kube, _in(scope, "/api/v1", kind), lines):
            metadata = item["metadata"]
            passing = metadata["name"] == lever.NAME or item.get("type") == PASSING
            if not passing and metadata["namespace"] not in SKIPPED_NAMESPACES:
                lines[f"{kind}/{metadata['namespace']}/{metadata['name']}/keys"] = _brief(keys.known(item))


async def _ours(kube: Kube, lines: dict[str, str], scope: Scope) -> None:
    for path in resource.collections(*scope.inside):
        for fault in await _seen(kube, path, lines):
            metadata = fault["metadata"]
            lines[f"{fault['kind'].lower()}/{metadata.get('namespace', '')}/{metadata['name']}"] = "present"

    async def holder() -> str:
        held = await lease.current(kube, scope.system) or {}
        name = held.get("spec", {}).get("holderIdentity", "")
        expired = (held.get("metadata", {}).get("annotations") or {}).get(lease.EXPIRED)
        return "" if expired == name else str(name)

    async def pulled() -> str:
        return "on" if await lever.read(kube, scope.system) else "off"

    for name, look in (("lease/holder", holder), ("lever", pulled)):
        try:
            lines[name] = await look()
        except ApiError as error:
            if error.status != 403:
                raise
            lines[f"unseen/{name}"] = FORBIDDEN


async def _containers(cluster: LocalCluster, nodes: Mapping[str, str], lines: dict[str, str]) -> None:
    """Describe the nodes' containers, all by one question, and look into those that run."""
    try:
        found = await anyio.to_thread.run_sync(docker.inspect, cluster.docker_host, *nodes.values())
    except PreconditionFailed as error:  # no Docker that answers
        lines.update({f"unseen/container/{node}": error.what for node in nodes})
        return
    described = {str(item["Name"]).lstrip("/"): item for item in found}
    async with anyio.create_task_group() as together:
        for node, container in nodes.items():
            together.start_soon(_node, cluster, node, container, described.get(container), lines)


async def _node(
    cluster: LocalCluster, node: str, container: str, described: Mapping[str, Any] | None, lines: dict[str, str]
) -> None:
    state, found = described["State"]["Status"] if described else "absent", ""
    try:
        if state == "running":
            found = await anyio.to_thread.run_sync(
                lambda: docker.docker(cluster.docker_host, "exec", container, "sh", "-c", residue.SCRIPT)
            )
    except PreconditionFailed as error:  # stopped or frozen since, or no Docker that answers
        lines[f"unseen/container/{node}"] = error.what
        return
    lines[f"container/{node}/state"] = state
    if described:
        lines[f"container/{node}/networks"] = ",".join(sorted(described["NetworkSettings"]["Networks"]))
    lines[f"container/{node}/residue"] = "; ".join(sorted(found.splitlines()))


async def _hands(place: Place, lines: dict[str, str]) -> None:
    for hand in HANDS.values():
        lines |= await hand.residue(place)
    if place.cluster:
        lines["processes"] = ", ".join(_processes())


def _processes() -> list[str]:
    """Name this project's load and step processes that have lost their engine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
            parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        for module in (b"harness.load", b"harness.steps"):
            if module in words and parent == 1:
                found.append(f"{module.decode()} {path.parent.name}")
    return sorted(found)


def _brief(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10] if value else "-"
