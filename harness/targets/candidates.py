"""All that matches a target's rule, for each kind of thing that faults are aimed at, in an order that stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from harness.cluster import backoff, paths
from harness.errors import InjectionFailed, UsageError
from harness.model.fault import Target
from harness.model.plan import Victim
from harness.targets import components, containers, filters, nodes, objects, readers, routes, zones
from harness.targets.kind import Object, Search, TargetKind
from harness.workloads.pod import is_done, is_going, is_ready

# By so much a restart was seen to come later than its back-off: the kubelet looks every so often.
LOOKS_SECONDS = 15.0


def _words(target: Target) -> str:
    words = [target.selector] if target.selector else []
    return f"{','.join(target.within)}/{', '.join([*words, *filters.words(target.filter)])}"


async def _pods(search: Search) -> list[tuple[Victim, Object]]:
    """Find the ready pods that match and, where a container is named, have it; raises UsageError when none has."""
    target, labels = search.target, search.target.selector or None
    pods = [pod for name in target.within for pod in await search.kube.list(paths.pods(name), labels=labels)]
    if target.filter:
        now = datetime.now(UTC)
        pods = [pod for pod in pods if filters.passes(target.filter, pod, now)]
    ready = [pod for pod in pods if is_ready(pod) and not is_going(pod)]
    having = [pod for pod in ready if not target.container or target.container in containers.lasting(pod)]
    if ready and not having:
        known = sorted({name for pod in ready for name in containers.lasting(pod)})
        raise UsageError(
            f"no pod has a container {target.container!r} that would be started again",
            where=_words(target),
            why=f"the kubelet starts these again: {', '.join(known)}",
        )
    having.sort(key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["spec"].get("nodeName", "")))
    return [(await _pod(search, pod), pod) for pod in having]


async def _pod(search: Search, pod: Object) -> Victim:
    metadata, node = pod["metadata"], pod["spec"]["nodeName"]
    return Victim(
        kind="pod",
        name=metadata["name"],
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        node=node,
        zone=search.zones.get(node, ""),
        owner=str(await search.owners.of(pod) or f"Pod/{metadata['name']}"),
        container=search.inside(pod, search.target.container) if search.inside else "",
    )


async def _nodes(search: Search) -> list[tuple[Victim, Object]]:
    """Find the workers that match, and that host what the rule says."""
    target, kube = search.target, search.kube
    names = {node["metadata"]["name"] for node in search.nodes}
    if target.selector:
        names &= {node["metadata"]["name"] for node in await kube.list(paths.nodes(), labels=target.selector)}
    if target.hosting:
        namespace, _, selector = target.hosting.partition("/")
        hosts = await kube.list(paths.pods(namespace), labels=selector)
        names &= {pod["spec"].get("nodeName", "") for pod in hosts if not (is_going(pod) or is_done(pod))}
    workers = [
        node
        for node in search.nodes
        if node["metadata"]["name"] in names and nodes.CONTROL_PLANE not in node["metadata"].get("labels", {})
    ]
    workers.sort(key=lambda node: str(node["metadata"]["name"]))
    return [(_node(search, node["metadata"]), node) for node in workers]


def _node(search: Search, metadata: Object) -> Victim:
    name = metadata["name"]
    return Victim(kind="node", name=name, uid=metadata["uid"], node=name, zone=search.zones[name])


async def _zones(search: Search) -> list[tuple[Victim, Object]]:
    """Find the zones of the workers that match; one that holds the control plane is left out, as such nodes are.

    Raises UsageError where no other one matches.
    """
    matching = sorted({victim.zone for victim, _ in await _nodes(search)} - {""})
    found = [zone for zone in matching if not zones.holds_control_plane(zone, search.nodes)]
    if matching and not found:
        raise UsageError(
            f"the control plane is in zone {', '.join(matching)}",
            where=_of_nodes(search.target),
            why="a run that cannot reach the API server sees nothing and holds no lease",
            hint="aim at another zone",
        )
    return [(zones.target(zone, search.nodes), {}) for zone in found]


def _of_nodes(target: Target) -> str:
    return f"hosting {target.hosting}" if target.hosting else target.selector


def soonest(pods: Sequence[Object], count: int, container: str, patience: float, now: datetime) -> Sequence[Object]:
    """Keep the pods whose container would be started again as soon as those of the quickest; all where too few exist.

    Raises InjectionFailed when even these would take longer than `patience` seconds.
    """
    if len(pods) < count:
        return pods
    waits = [(_wait(pod, container, now), pod) for pod in pods]
    most, last = sorted(waits, key=lambda item: item[0])[count - 1]
    if most and most + LOOKS_SECONDS > patience:
        raise InjectionFailed(
            f"the kubelet would start the container again only after about {most:g} s",
            where=f"{last['metadata']['namespace']}/{last['metadata']['name']}",
            why=f"it ended several times lately, and this run waits for {patience:g} s; what it would show is the"
            " kubelet's back-off",
            hint="between runs, replace the pod (`harness up` does, on the local cluster), or wait: ten minutes after a"
            " restart the kubelet has forgotten",
        )
    return [pod for wait, pod in waits if wait <= most]


def _wait(pod: Object, container: str, now: datetime) -> float:
    name = container or containers.default(pod)
    return max((backoff.expected(one, now) for one in backoff.statuses(pod) if one["name"] == name), default=0.0)


KINDS: Mapping[str, TargetKind] = {
    "pod": TargetKind(
        words=_words,
        find=_pods,
        hint="check the selector with `kubectl get pods -A -l ...`",
        soonest=soonest,
    ),
    "node": TargetKind(
        words=_of_nodes,
        find=_nodes,
        pods=lambda kube, _, victim: nodes.on(kube, victim.name),
    ),
    "zone": TargetKind(
        words=_of_nodes,
        find=_zones,
        parts=zones.parts,
        pods=zones.pods,
        hint=f"a zone is found by its workers: check `kubectl get nodes -L {zones.LABEL}`",
    ),
    "workload": TargetKind(
        words=lambda target: f"{target.namespace}/{target.selector}",
        find=objects.workloads,
        pods=objects.pods_of,
        hint="a workload is found by its pods: check the selector with `kubectl get pods -A -l ...`",
    ),
    "config": TargetKind(
        words=lambda target: f"{target.namespace}/{target.config}",
        find=objects.configs,
        pods=readers.pods_of,
        hint="check the name with `kubectl get configmaps,secrets -n ...`",
    ),
    "route": TargetKind(
        words=lambda target: f"{target.namespace}/{target.route}",
        find=routes.find,
        parts=routes.parts,
        hint="requests are met where Istio routes them: check `kubectl get virtualservices -n ...`; where nothing"
        " routes them pod_latency and pod_reset meet packets",
    ),
    "component": TargetKind(
        words=lambda target: target.component,
        find=components.find,
        hint="it is found by the labels that kubeadm gives: `kubectl -n kube-system get pods -L component`",
    ),
    "namespace": TargetKind(words=lambda target: target.namespace, find=objects.namespaces),
}
