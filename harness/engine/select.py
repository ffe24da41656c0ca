"""Pick targets by owner, zone and ordinal with a seed, so that the same seed picks the same places again.

Names and UIDs are random; places are not. Candidates are put in a fixed order (owner, zone, age within the zone),
shuffled by the seed, and taken zone by zone in turn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from harness.cluster import backoff
from harness.cluster import kube as paths
from harness.cluster.kube import Kube
from harness.engine import chosen
from harness.errors import InjectionFailed, UsageError
from harness.faults import containers
from harness.model import share
from harness.model.fault import Target
from harness.model.plan import Victim
from harness.workloads import Owners

ZONE = "topology.kubernetes.io/zone"
# By so much a restart was seen to come later than its back-off: the kubelet looks every so often.
LOOKS_SECONDS = 15.0
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


async def resolve(
    kube: Kube,
    owners: Owners,
    target: Target,
    chance: random.Random,
    *,
    taken: frozenset[str],
    kind: str = "",
    patience: float | None = None,
    tell: Callable[[str], None] = lambda _: None,
    alone: bool = False,
) -> tuple[Victim, ...]:
    """Return the named targets of one rule; raises UsageError when there are too few.

    `taken` holds the UIDs that an earlier fault of the same plan has already, `kind` is the fault. With `patience`, in
    seconds, pods whose container the kubelet would start again late are passed over for others: what they would show
    is its back-off. `tell` is given how a share became a count. Raises InjectionFailed when too few would be back in
    time.
    """
    # Without a look at nodes zones are not known, and pods are picked by owner and age.
    nodes = [] if alone else await kube.list(paths.nodes())
    zones = {node["metadata"]["name"]: node["metadata"].get("labels", {}).get(ZONE, "") for node in nodes}
    pods: Sequence[Mapping[str, Any]] = ()
    if target.kind == "node":
        found = await _nodes(kube, target, nodes, zones)
        rule = f"hosting {target.hosting}" if target.hosting else target.selector
    else:
        pods = await _pods(kube, target)
        found = await _victims(owners, pods, target, zones, kind)
        rule = f"{target.namespace}/{target.selector}"
    free = [victim for victim in found if victim.uid not in taken]
    if target.rule:
        free = chosen.candidates(target.rule, free)
    if not free:
        raise UsageError(
            f"no {target.kind} matches",
            where=rule or "all workers",
            why="a fault without a target would prove nothing",
            hint="check the selector with `kubectl get pods -A -l ...`" if target.kind == "pod" else "",
        )
    if target.rule:
        return tuple(chosen.of(target, target.rule, free, chance))
    # A share is one of all that match, also of those that another fault has: half and half are two equal parts.
    wanted = _count(target, len(found), rule, chance, tell)
    if len(free) < wanted:
        raise UsageError(
            f"{wanted} {target.kind}s wanted, {len(free)} exist",
            where=rule or "all workers",
            why="a count above what exists cannot be injected",
        )
    if patience is not None and pods:
        quick = soonest(
            [pod for pod in pods if pod["metadata"]["uid"] not in taken],
            replace(target, pods=wanted),
            patience,
            datetime.now(UTC),
        )
        kept = {pod["metadata"]["uid"] for pod in quick}
        free = [victim for victim in free if victim.uid in kept]
    return tuple(pick(free, wanted, chance))


def _count(target: Target, matching: int, rule: str, chance: random.Random, tell: Callable[[str], None]) -> int:
    """Say how many a rule takes of those that match; raises UsageError for a share that rounds down to none."""
    if target.share is None:
        return target.least
    try:
        wanted, how = target.share.count(matching, chance.randint)
    except ValueError as error:
        raise UsageError(
            str(error),
            where=rule or "all workers",
            why="a share is rounded down, and a fault without a target would prove nothing",
            hint=f"{target.kind}s: {share.least(matching)} or more, or {target.kind}s: 1",
        ) from None
    tell(f"{rule or 'all workers'}: {how}")
    return wanted


def pick(candidates: Iterable[Victim], count: int, chance: random.Random) -> Sequence[Victim]:
    """Take `count` victims, one zone after another, in an order that only the seed decides."""
    lanes: dict[tuple[str, str], list[Victim]] = {}
    for victim in candidates:
        lanes.setdefault((victim.owner, victim.zone), []).append(victim)
    order = [lanes[key] for key in sorted(lanes)]
    for lane in order:
        chance.shuffle(lane)
    chance.shuffle(order)
    taken: list[Victim] = []
    while len(taken) < count and any(order):
        taken += [lane.pop(0) for lane in order if lane][: count - len(taken)]
    return taken


async def _pods(kube: Kube, target: Target) -> Sequence[Mapping[str, Any]]:
    """List the ready pods that match and, where a container is named, have it; raises UsageError when none has."""
    pods = await kube.list(paths.pods(target.namespace), labels=target.selector or None)
    ready = [pod for pod in pods if _ready(pod) and not pod["metadata"].get("deletionTimestamp")]
    having = [pod for pod in ready if not target.container or target.container in containers.lasting(pod)]
    if ready and not having:
        known = sorted({name for pod in ready for name in containers.lasting(pod)})
        raise UsageError(
            f"no pod has a container {target.container!r} that would be started again",
            where=f"{target.namespace}/{target.selector}",
            why=f"the kubelet starts these again: {', '.join(known)}",
        )
    return sorted(having, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["spec"].get("nodeName", "")))


async def _victims(
    owners: Owners, pods: Sequence[Mapping[str, Any]], target: Target, zones: Mapping[str, str], kind: str
) -> list[Victim]:
    return [
        Victim(
            kind="pod",
            name=pod["metadata"]["name"],
            uid=pod["metadata"]["uid"],
            namespace=target.namespace,
            node=pod["spec"]["nodeName"],
            zone=zones.get(pod["spec"]["nodeName"], ""),
            owner=str(await owners.of(pod) or f"Pod/{pod['metadata']['name']}"),
            container=containers.aimed_at(kind, pod, target.container),
        )
        for pod in pods
    ]


async def _nodes(
    kube: Kube, target: Target, nodes: Sequence[Mapping[str, Any]], zones: Mapping[str, str]
) -> list[Victim]:
    names = {node["metadata"]["name"] for node in nodes}
    if target.selector:
        names &= {node["metadata"]["name"] for node in await kube.list(paths.nodes(), labels=target.selector)}
    if target.hosting:
        namespace, _, selector = target.hosting.partition("/")
        hosts = await kube.list(paths.pods(namespace), labels=selector)
        names &= {pod["spec"].get("nodeName", "") for pod in hosts if not pod["metadata"].get("deletionTimestamp")}
    workers = [
        node
        for node in nodes
        if node["metadata"]["name"] in names and CONTROL_PLANE not in node["metadata"].get("labels", {})
    ]
    workers.sort(key=lambda node: str(node["metadata"]["name"]))
    return [
        Victim(
            kind="node",
            name=node["metadata"]["name"],
            uid=node["metadata"]["uid"],
            node=node["metadata"]["name"],
            zone=zones[node["metadata"]["name"]],
        )
        for node in workers
    ]


def _ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def soonest(
    pods: Sequence[Mapping[str, Any]], target: Target, patience: float, now: datetime
) -> Sequence[Mapping[str, Any]]:
    """Keep the pods whose container would be started again as soon as those of the quickest; all where too few exist.

    Raises InjectionFailed when even these would take longer than `patience` seconds.
    """
    if len(pods) < target.pods:
        return pods
    waits = [(_wait(pod, target.container, now), pod) for pod in pods]
    most, last = sorted(waits, key=lambda item: item[0])[target.pods - 1]
    if most and most + LOOKS_SECONDS > patience:
        raise InjectionFailed(
            f"the kubelet would start the container again only after about {most:g} s",
            where=f"{target.namespace}/{last['metadata']['name']}",
            why=f"it ended several times lately, and this run waits for {patience:g} s; what it would show is the"
            " kubelet's back-off",
            hint="between runs, replace the pod (`harness up` does, on the local cluster), or wait: ten minutes after a"
            " restart the kubelet has forgotten",
        )
    return [pod for wait, pod in waits if wait <= most]


def _wait(pod: Mapping[str, Any], container: str, now: datetime) -> float:
    name = container or containers.default(pod)
    return max((backoff.expected(one, now) for one in backoff.statuses(pod) if one["name"] == name), default=0.0)
