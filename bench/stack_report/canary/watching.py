"""Releases by hand, watched while somebody asks all the time, and taken back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from bench.dying.place import Place
from bench.dying.workload import until
from bench.stack_report import asking
from bench.stack_report.asking import EXECUTE, Answer, ask
from bench.stack_report.site import NAMESPACE, Once
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.errors import ApiError
from harness.probes import settings
from harness.stack import release
from harness.workloads import releases
from harness.workloads.releases import RELEASE

ROLLOUT, DEPLOYMENT, SERVICE = "claude-orchestrator-rollout", "claude-orchestrator", "claude-orchestrator-canary"
VIRTUAL = f"/apis/networking.istio.io/v1/namespaces/{NAMESPACE}/virtualservices"
PATH = releases.rollouts(NAMESPACE, ROLLOUT)
# At 40 calls a second breakers opened while a canary began, on two cores.
RATE = 25.0
RELEASE_SECONDS, REST_SECONDS = 200.0, 150.0
LOOK_SECONDS = 0.2
# A gateway acts on weights a little after they were written, and a call that was asked just then may be either's.
ACTS_SECONDS = 1.0
DEVIATIONS = 4.0
# A value that nothing reads: a release that is another and no worse.
GOOD = "STACK_REPORT"


@dataclass(slots=True)
class Watched:
    """One release as it went: weights with the moments from which they were, who answered, what was analysed."""

    newest: str = ""
    outcome: str = ""
    seconds: float = 0.0
    weights: list[tuple[float, int]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    analyses: list[tuple[str, str]] = field(default_factory=list)
    behind: list[tuple[int, list[str]]] = field(default_factory=list)
    back: float = 0.0
    after: list[Answer] = field(default_factory=list)
    stays: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Ground:
    """The stack's Rollout, and the three releases that rows tell of."""

    kube: Kube
    good: Once
    failing: Once
    slow: Once


@contextlib.asynccontextmanager
async def ground(place: Place) -> AsyncIterator[Ground]:
    """Have the Rollout at rest before and after; a release is made when a row asks for it."""
    kube = place.kube
    template = (await _at_rest(kube))["spec"]["template"]

    def once(**flaw: str) -> Once:
        return Once(lambda: _released(kube, template, flaw))

    try:
        yield Ground(kube, once(**{GOOD: "good"}), once(FAIL_SHARE="0.1"), once(DELAY_SECONDS="0.7"))
    finally:
        with anyio.CancelScope(shield=True):
            await _back(kube, template)


async def _released(kube: Kube, template: Any, flaw: Mapping[str, str]) -> Watched:
    """Release orchestrators with a flaw, watch what becomes of it, and take it back."""
    seen, over = Watched(), anyio.Event()
    before = releases.state(await _at_rest(kube)).stable
    async with asking.through_gateway() as client, anyio.create_task_group() as together:

        async def call() -> None:
            began = time.monotonic()
            for number in range(10**6):
                if over.is_set():
                    return
                await anyio.sleep(max(0.0, began + number / RATE - time.monotonic()))
                together.start_soon(one)

        async def one() -> None:
            seen.answers.append(await ask(client, EXECUTE, settings.GATEWAY_HOST))

        together.start_soon(call)
        try:
            await release.start(kube, NAMESPACE, ROLLOUT, "", flaw)
            began = time.monotonic()
            with anyio.fail_after(RELEASE_SECONDS):
                await _watch(kube, before, seen)
            seen.seconds = time.monotonic() - began
            seen.analyses = await _analyses(kube, seen.newest)
            began = time.monotonic()
            await _back(kube, template)
            seen.back = time.monotonic() - began
            seen.stays = tuple(_weights(await kube.get(f"{VIRTUAL}/{DEPLOYMENT}-vs")))
        finally:
            over.set()
            with anyio.CancelScope(shield=True):
                await _back(kube, template)
                if seen.newest:
                    await _swept(kube, seen.newest)
        seen.after = [await ask(client, EXECUTE, settings.GATEWAY_HOST) for _ in range(20)]
    return seen


async def _watch(kube: Kube, before: str, seen: Watched) -> None:
    """Note each change of weights, and whom the canary's Service selects, until the release is decided."""
    while True:
        _, now = _weights(await kube.get(f"{VIRTUAL}/{DEPLOYMENT}-vs"))
        if not seen.weights or seen.weights[-1][1] != now:
            seen.weights.append((time.monotonic(), now))
            seen.behind.append((now, await _behind(kube)))
        state = releases.state(await kube.get(PATH))
        if state.newest not in ("", before):
            seen.newest, seen.outcome = state.newest, state.outcome
            if state.outcome != releases.UNDER_WAY:
                return
        await anyio.sleep(LOOK_SECONDS)


def _weights(item: Mapping[str, Any]) -> list[int]:
    """Return the weights of stable and canary that the gateway was told."""
    primary = next(one for one in item["spec"]["http"] if one.get("name") == "primary")
    by = {one["destination"].get("subset"): int(one.get("weight", 0)) for one in primary["route"]}
    return [by.get("stable", 0), by.get("canary", 0)]


async def _behind(kube: Kube) -> list[str]:
    """Return the releases of the pods that the canary's Service selects."""
    selector = (await kube.get(paths.core(NAMESPACE, "services", SERVICE)))["spec"]["selector"]
    pods = await kube.list(paths.pods(NAMESPACE), labels=",".join(f"{key}={value}" for key, value in selector.items()))
    return sorted({str(pod["metadata"]["labels"].get(RELEASE, "")) for pod in pods})


async def _analyses(kube: Kube, newest: str) -> list[tuple[str, str]]:
    """Return by which metrics a release was analysed, each time, and what came of it."""
    found = []
    for item in await kube.list(releases.analyses(NAMESPACE)):
        one = releases.analysis(item)
        if one.release == newest:
            names = " and ".join(metric["name"] for metric in item["spec"].get("metrics", ()))
            found.append((names, " ".join(filter(None, (one.phase, one.measured, one.message)))))
    return found


async def _at_rest(kube: Kube) -> dict[str, Any]:
    """Return the Rollout once it is healthy and all its pods are of one release."""
    found: dict[str, Any] = {}

    async def so() -> bool:
        found.clear()
        found.update(await kube.get(PATH))
        state, status = releases.state(found), found.get("status") or {}
        counts = {found["spec"]["replicas"], status.get("replicas"), status.get("availableReplicas")}
        same = state.stable == state.newest and len(counts) == 1
        return state.phase == "Healthy" and same and _weights(await kube.get(f"{VIRTUAL}/{DEPLOYMENT}-vs"))[1] == 0

    await until(so, REST_SECONDS, f"{ROLLOUT} at rest")
    return found


async def _back(kube: Kube, template: Any) -> None:
    """Give the Rollout its template back, where it has another, and wait until nothing of the other is left."""
    item = await kube.get(PATH)
    if item["spec"]["template"] != template:
        await kube.patch(PATH, [{"op": "replace", "path": "/spec/template", "value": template}], kind="json")
    await _at_rest(kube)


async def _swept(kube: Kube, newest: str) -> None:
    """Delete the ReplicaSet of a release that was taken back: it has no pods and nobody goes back to it."""
    path = paths.apps(NAMESPACE, "replicasets", f"{ROLLOUT}-{newest}")
    with contextlib.suppress(ApiError):
        if not (await kube.get(path))["spec"].get("replicas"):
            await kube.delete(path)
