"""Who goes first, lines 1911 to 1927, and what the loss of a pod costs whom."""

from __future__ import annotations

import time
from typing import Any

import anyio

from bench.dying.workload import until
from bench.stack_report import asking, objects, site
from bench.stack_report.asking import EXECUTE, Answer, statuses
from bench.stack_report.placement.common import HOST, REGISTRY, Ground, dry
from bench.stack_report.placement.nodes import a_worker, filler, free, scheduled, unscheduled
from bench.stack_report.row import Row, Seen, listed
from bench.stack_report.site import NAMESPACE
from harness.cluster import paths
from harness.probes import settings
from harness.workloads.pod import is_ready

ROWS: list[Row] = []


@listed(
    ROWS,
    "placement/registry",
    "333, 842-849",
    says="Agent registry: called by the orchestrators (3 replicas, 2 here: the seed defines none)",
    done="killed one registry without a word while executions were asked for, 20 a second for 10 s",
)
async def registry(ground: Ground) -> Seen:
    """Lose a registry and no call."""
    kube = ground.site.kube
    before = [pod for pod in await kube.list(paths.pods(NAMESPACE), labels=f"app={REGISTRY}") if is_ready(pod)]
    answers: list[Answer] = []

    async def strike() -> None:
        await anyio.sleep(2)
        await kube.delete(paths.pods(NAMESPACE, before[0]["metadata"]["name"]), grace=0)

    async with asking.through_gateway() as client, anyio.create_task_group() as together:
        together.start_soon(strike)
        answers += await asking.at_rate(client, 200, EXECUTE, settings.GATEWAY_HOST, 20.0)

    async def whole() -> bool:
        now = await kube.list(paths.pods(NAMESPACE), labels=f"app={REGISTRY}")
        return sum(map(is_ready, now)) >= len(before)

    await until(whole, 60, "as many registries as before")
    degraded = sum("x-degraded" in one.headers for one in answers)
    text = f"{len(before)} registries, one killed: {statuses(answers)}, {degraded} from the last known record"
    return Seen(len(before) > 1 and all(one.good for one in answers), text)


@listed(
    ROWS,
    "placement/priority",
    "1911-1927",
    says="PriorityClass: high-priority (1000) goes before low-priority (100)",
    done="filled a worker with a low pod; a high one that has no room; then a low one that has none",
)
async def priority(ground: Ground) -> Seen:
    """Make room for what is more important."""
    here, node = ground.site, await a_worker(ground.site)
    chosen = {HOST: node["metadata"]["labels"][HOST]}
    low = await filler(here, "low", node, 0.8, priorityClassName="low-priority")
    try:
        await here.put(low)
        await here.ready(1, "app=low")
        half = {"resources": {"requests": {"cpu": f"{int(await free(here, node) * 1000 * 2.5)}m", "memory": "16Mi"}}}
        high = objects.idle(here.image, "high", container=half, nodeSelector=chosen, priorityClassName="high-priority")
        await here.put(high)
        began = time.monotonic()
        where = await scheduled(here, "high", 60)
        took = time.monotonic() - began
        gone = "low" not in site.names(await here.pods())
        await here.put({**low, "metadata": {"name": "low-too", "labels": {"app": "low-too"}}})
        why = await unscheduled(here, "low-too")
        stays = "high" in site.names(await here.pods())
    finally:
        with anyio.CancelScope(shield=True):
            await here.gone("low", "low-too", "high")
    good = gone and stays and where == node["metadata"]["name"] and bool(why)
    return Seen(good, f"high took low's place after {took:.1f} s; another low one waits: {why}")


@listed(
    ROWS,
    "placement/default-priority",
    "1917, 1926",
    says="PriorityClass: neither is anybody's default",
    done="asked for pods with each class and with none, as a dry run",
)
async def default_priority(ground: Ground) -> Seen:
    """Give no priority to who asks for none."""
    got = {}
    for name in ("", "low-priority", "high-priority"):
        spec: dict[str, Any] = {"priorityClassName": name} if name else {}
        made = await dry(ground.site.kube, ground.site.namespace, objects.idle(ground.site.image, "asks", **spec))
        got[name or "none"] = made["spec"].get("priority", 0)
    good = got == {"none": 0, "low-priority": 100, "high-priority": 1000}
    return Seen(good, ", ".join(f"{name}: {value}" for name, value in got.items()))
