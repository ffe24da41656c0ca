"""An autoscaler under a load of slow executions, and without it again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from bench.dying.place import Place
from bench.dying.workload import until
from bench.stack_report import asking, site
from bench.stack_report.asking import Answer, ask
from bench.stack_report.site import NAMESPACE, Once, Site
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.probes import settings
from harness.workloads.pod import is_ready

PODS = "app=claude-orchestrator"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers/{}"
VERTICAL = f"/apis/autoscaling.k8s.io/v1/namespaces/{NAMESPACE}/verticalpodautoscalers/claude-orchestrator-vpa"
AUTOSCALER = "claude-orchestrator-hpa"
# What the part has (stack/parts/scaling): the seed's least, and the most that two cores can carry; the seed's shares; a
# twentieth of its times.
LEAST, MOST = 5, 8
GROWTH, UP_SECONDS = 1.0, 3.0
SHRINK, DOWN_SECONDS = 0.1, 15.0
# An execution of a slow agent waits for 0.6 s and costs nothing but its place in a queue: 18 are under way, and two are
# wanted in each orchestrator, which is one more than may come.
SLOW, RATE = "/v1/agents/slow-{}/execute", 30.0
SIGHT_SECONDS, OUT_SECONDS, IN_SECONDS = 120.0, 110.0, 240.0
# The controller looks so often, at queues as they were over half a minute.
LOOK_EVERY, AVERAGED = 15.0, 30.0
LOOK_SECONDS = 0.5
MINUTE = 60.0


@dataclass(slots=True)
class Watched:
    """How an autoscaler answered a load: how many it wanted and how many were ready, with the moments of changes."""

    began: float = 0.0
    over: float = 0.0
    wanted: list[tuple[float, int]] = field(default_factory=list)
    ready: list[tuple[float, int]] = field(default_factory=list)
    limited: str = ""
    answers: list[Answer] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ground:
    """A namespace of the report's own, and what became of the orchestrators under a load."""

    site: Site
    scaled: Once


@contextlib.asynccontextmanager
async def ground(place: Place) -> AsyncIterator[Ground]:
    """Have a namespace; the load comes when a row asks for it."""
    async with site.made(place, "scaling") as here:
        yield Ground(here, Once(lambda: _scaled(place.kube)))


async def _scaled(kube: Kube) -> Watched:
    """Ask for more executions than the orchestrators' queues may hold, then for none, and watch."""
    seen, over = Watched(), anyio.Event()

    async def at_rest() -> bool:
        item = await kube.get(AUTOSCALERS.format(NAMESPACE, AUTOSCALER))
        sees = [one for one in item.get("status", {}).get("currentMetrics") or () if one.get("type")]
        return len(sees) == len(item["spec"]["metrics"]) and await _ready(kube) == LEAST

    await until(at_rest, SIGHT_SECONDS, f"{AUTOSCALER} that sees all its metrics, and {LEAST} orchestrators")
    async with asking.through_gateway() as client, anyio.create_task_group() as together:

        async def one(number: int) -> None:
            seen.answers.append(await ask(client, SLOW.format(number % 10 + 1), settings.GATEWAY_HOST))

        async def call() -> None:
            for number in range(10**6):
                await anyio.sleep(max(0.0, seen.began + number / RATE - time.monotonic()))
                if over.is_set():
                    return
                together.start_soon(one, number)

        seen.began = time.monotonic()
        together.start_soon(call)
        try:
            # It may be told that it wants too many only at its next look.
            await _watch(kube, seen, OUT_SECONDS, lambda: _count(seen) == MOST and bool(seen.limited))
        finally:
            over.set()
        seen.over = time.monotonic()
        await _watch(kube, seen, IN_SECONDS, lambda: _count(seen) == LEAST)
    return seen


async def _watch(kube: Kube, seen: Watched, seconds: float, done: Callable[[], bool]) -> None:
    """Note what changes until that is all, and no longer than so many seconds."""
    with anyio.move_on_after(seconds):
        while True:
            item = await kube.get(AUTOSCALERS.format(NAMESPACE, AUTOSCALER))
            status, now = item.get("status") or {}, time.monotonic()
            wanted = int(status.get("desiredReplicas", 0))
            for noted, value in ((seen.wanted, wanted), (seen.ready, await _ready(kube))):
                if not noted or noted[-1][1] != value:
                    noted.append((now, value))
            conditions: dict[str, Any] = {one["type"]: one for one in status.get("conditions") or ()}
            limit = conditions.get("ScalingLimited", {})
            if limit.get("status") == "True" and limit.get("reason") == "TooManyReplicas":
                seen.limited = str(limit.get("message", limit["reason"]))
            if done():
                return
            await anyio.sleep(LOOK_SECONDS)


def _count(seen: Watched) -> int:
    """Return how many are ready where that is as many as are wanted, else none."""
    return seen.ready[-1][1] if seen.ready[-1][1] == seen.wanted[-1][1] else 0


async def _ready(kube: Kube) -> int:
    return sum(map(is_ready, await kube.list(paths.pods(NAMESPACE), labels=PODS)))
