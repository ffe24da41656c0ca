"""Where pods go, lines 683 to 698: selectors, taints, spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from bench.dying.workload import until
from bench.stack_report import objects, site
from bench.stack_report.placement.common import HEARD_SECONDS, HOST, Ground, orchestrators
from bench.stack_report.quantities import cores
from bench.stack_report.row import NotHere, Row, Seen, listed
from bench.stack_report.site import Site
from harness.cluster import paths
from harness.workloads.pod import is_done

ROWS: list[Row] = []


@listed(
    ROWS,
    "placement/node-selector",
    "683-684",
    says="Deployment: on nodes with node-type general-compute alone",
    done="a pod with the orchestrator's selector, and one that asks for node-type nowhere",
)
async def node_selector(ground: Ground) -> Seen:
    """Keep pods off other nodes."""
    here, selector = ground.site, ground.spec["nodeSelector"]
    await here.put(
        objects.idle(here.image, "general", nodeSelector=selector),
        objects.idle(here.image, "nowhere", nodeSelector={"node-type": "nowhere"}),
    )
    node = await scheduled(here, "general")
    labels = (await here.kube.get(paths.nodes(node)))["metadata"]["labels"]
    why = await unscheduled(here, "nowhere")
    await here.gone("general", "nowhere")
    good = labels.get("node-type") == selector.get("node-type") == "general-compute" and bool(why)
    return Seen(good, f"one went to {node} ({labels.get('node-type')}), the other nowhere: {why}")


async def scheduled(here: Site, name: str, seconds: float = 30) -> str:
    """Wait until a pod has a node, and return its name."""
    found: list[str] = []

    async def so() -> bool:
        found[:] = [(await here.kube.get(paths.pods(here.namespace, name)))["spec"].get("nodeName", "")]
        return bool(found[0])

    await until(so, seconds, f"a node for {name}")
    return found[0]


async def unscheduled(here: Site, name: str, seconds: float = 30) -> str:
    """Wait until the scheduler has found no node for a pod, and return why."""
    found: list[str] = []

    async def so() -> bool:
        status = (await here.kube.get(paths.pods(here.namespace, name))).get("status") or {}
        found[:] = [
            str(one.get("message", one["reason"]))
            for one in status.get("conditions") or ()
            if one["type"] == "PodScheduled" and one["status"] == "False"
        ]
        return bool(found)

    await until(so, seconds, f"a word on why {name} has no node")
    return found[0].partition(" preemption:")[0]


@listed(
    ROWS,
    "placement/tolerations",
    "685-689",
    says="Deployment: tolerates the taint node-type=general-compute:NoSchedule",
    done="put that taint on a worker; a pod with the toleration and one without that may only go there; took it away",
)
async def tolerations(ground: Ground) -> Seen:
    """Let in who tolerates a taint, and nobody else."""
    here = ground.site
    node = await a_worker(here)
    chosen = {HOST: node["metadata"]["labels"][HOST]}
    async with site.tainted(here, node["metadata"]["name"], "node-type", "general-compute"):
        await anyio.sleep(HEARD_SECONDS)
        await here.put(
            objects.idle(here.image, "tolerant", nodeSelector=chosen, tolerations=ground.spec["tolerations"]),
            objects.idle(here.image, "other", nodeSelector=chosen),
        )
        where, why = await scheduled(here, "tolerant"), await unscheduled(here, "other")
    # Without the taint both may be there.
    then = await scheduled(here, "other")
    await here.gone("tolerant", "other")
    return Seen(
        where == then == node["metadata"]["name"], f"the tolerant one went there, the other not: {why}; then it did"
    )


async def a_worker(here: Site) -> Mapping[str, Any]:
    """Return one of three or more workers; raises NotHere where there are not so many."""
    found = await site.workers(here.kube)
    if len(found) < 3:
        raise NotHere(f"{len(found)} workers take pods, and three are needed")
    return found[0]


@listed(
    ROWS,
    "placement/anti-affinity",
    "690-698",
    says="Deployment: rather not two orchestrators on one node",
    done="left one worker much emptier than the others: where 3 pods go with the orchestrator's affinity, and without",
)
async def anti_affinity(ground: Ground) -> Seen:
    """Keep pods of a service apart although one node has more room."""
    here = ground.site
    empty = (await a_worker(here))["metadata"]["name"]
    where, fillers = {}, []
    # A rule of its own that never counts keeps the scheduler's from spreading them.
    nothing = {"matchLabels": {"app": "nobody"}}
    about = {"maxSkew": 1, "topologyKey": HOST, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": nothing}
    try:
        for number, node in enumerate(await site.workers(here.kube)):
            if node["metadata"]["name"] != empty:
                fillers.append(f"filler-{number}")
                await here.put(await filler(here, fillers[-1], node, 0.7))
        for name in fillers:
            await scheduled(here, name)
        for name, affinity in (("apart", {"affinity": _affinity(ground, "apart")}), ("together", {})):
            where[name] = await _placed(here, name, 3, **affinity, topologySpreadConstraints=[about])
            await here.kube.delete(paths.deployments(here.namespace, name), propagation="Background")
    finally:
        with anyio.CancelScope(shield=True):
            await here.gone(*fillers)
    return apart(where["apart"], where["together"], empty)


def _affinity(ground: Ground, app: str) -> dict[str, Any]:
    """Copy the orchestrator's affinity for pods of another name."""
    terms = ground.spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    copied = [
        {**one, "podAffinityTerm": {**one["podAffinityTerm"], "labelSelector": {"matchLabels": {"app": app}}}}
        for one in terms
    ]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": copied}}


def apart(with_it: Sequence[str], without: Sequence[str], empty: str) -> Seen:
    """Judge that pods went to different nodes with a rule, and without it where there was most room."""
    good = len(set(with_it)) == len(with_it) and Counter(without)[empty] >= 2
    return Seen(
        good,
        f"with it on {len(set(with_it))} nodes; without, {Counter(without)[empty]} of {len(without)} on the emptiest",
    )


async def _placed(here: Site, name: str, count: int, **spec: Any) -> list[str]:
    """Make so many pods and return the nodes that they went to."""
    await here.put(objects.deployment(name, count, objects.idle(here.image, name, **spec)))
    return await _nodes(here, name, count)


async def _nodes(here: Site, name: str, count: int) -> list[str]:
    """Wait until so many pods have a node, and return these."""
    found: list[str] = []

    async def so() -> bool:
        pods = await here.pods(f"app={name}")
        found[:] = [pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")]
        return len(found) == count == len(pods)

    await until(so, 60, f"nodes for {count} pods of {name}")
    return found


async def free(here: Site, node: Mapping[str, Any]) -> float:
    """Return how many CPUs of a node nobody has asked for."""
    pods = await here.kube.list("/api/v1/pods", fields=f"spec.nodeName={node['metadata']['name']}")
    return cores(node["status"]["allocatable"]["cpu"]) - sum(asked_cpu(pod) for pod in pods if not is_done(pod))


def asked_cpu(pod: Mapping[str, Any]) -> float:
    """Return how many CPUs a pod asks for: what its containers and sidecars do together, or one that comes before."""

    def of(one: Mapping[str, Any]) -> float:
        return cores(str(one.get("resources", {}).get("requests", {}).get("cpu", "0")))

    begin = pod["spec"].get("initContainers", ())
    beside = sum(of(one) for one in begin if one.get("restartPolicy") == "Always")
    before = max((of(one) for one in begin if one.get("restartPolicy") != "Always"), default=0.0)
    return max(sum(map(of, pod["spec"]["containers"])) + beside, before)


async def filler(here: Site, name: str, node: Mapping[str, Any], share: float, **spec: Any) -> dict[str, Any]:
    """Describe a pod that asks for a share of what CPU a node has left, and uses none."""
    milli = int(await free(here, node) * share * 1000)
    asked = {"resources": {"requests": {"cpu": f"{milli}m", "memory": "16Mi"}}}
    chosen = {HOST: node["metadata"]["labels"][HOST]}
    return objects.idle(here.image, name, {"role": "filler"}, container=asked, nodeSelector=chosen, **spec)


@listed(
    ROWS,
    "placement/spread",
    "690-698",
    says="Deployment: spread over nodes (and zones here), rather than not at all",
    done="3 pods with the orchestrator's affinity and spread; then a node cordoned and its pod deleted",
)
async def spread(ground: Ground) -> Seen:
    """Spread pods over nodes, and serve on with one of them closed."""
    here, name = ground.site, "spread"
    await a_worker(here)
    rules = [
        {**one, "labelSelector": {"matchLabels": {"app": name}}}
        for one in ground.spec.get("topologySpreadConstraints", ())
    ]
    # The hash of a template is a Deployment's own; pods of a Rollout have another.
    for one in rules:
        one.pop("matchLabelKeys", None)
    first = await _placed(here, name, 3, affinity=_affinity(ground, name), topologySpreadConstraints=rules)
    closed = first[0]
    async with site.cordoned(here, closed):
        await anyio.sleep(HEARD_SECONDS)
        for pod in await here.pods(f"app={name}"):
            if pod["spec"].get("nodeName") == closed:
                await here.gone(pod["metadata"]["name"])
        then = await _nodes(here, name, 3)
    await here.kube.delete(paths.deployments(here.namespace, name), propagation="Background")
    stack = Counter(pod["spec"]["nodeName"] for pod in await orchestrators(here.kube))
    return spread_out(first, then, closed, stack)


def spread_out(first: Sequence[str], then: Sequence[str], closed: str, stack: Mapping[str, int]) -> Seen:
    """Judge where pods were, where they went with one node closed, and how the stack's own are spread."""
    good = len(set(first)) == 3 and closed not in then and len(set(then)) == 2 and len(stack) > 1
    own = " and ".join(str(count) for count in sorted(stack.values(), reverse=True))
    return Seen(
        good, f"on {len(set(first))} nodes; with one cordoned on {len(set(then))} others; orchestrators {own} a node"
    )
