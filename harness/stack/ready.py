"""Wait until the stack is up, as its objects and its gateway say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import anyio
import httpx

from harness.cluster import backoff
from harness.cluster.kube import Kube
from harness.cluster.paths import pods
from harness.errors import ApiError, PreconditionFailed
from harness.stack import apply

GATEWAY = "http://127.0.0.1:18080/v1/agents/agent-1/execute"
HOST = "api.claude-ecosystem.com"
PROMETHEUS = "http://127.0.0.1:19090/-/ready"
ROLLOUT_SECONDS = 150.0
ANSWER_SECONDS = 60.0
LOOK_SECONDS = 0.5


Replicas = Mapping[str, int | None]


def replicas(objects: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int | None]]:
    """Return how many replicas each Deployment and Rollout of the stack shall have, by collection and name.

    None is as many as it wants itself: an autoscaler has the say.
    """
    objects = list(objects)
    scaled, found = apply.autoscaled(objects), dict[str, dict[str, int | None]]()
    for item in objects:
        if item["kind"] in ("Deployment", "Rollout"):
            path = apply.path(item)
            collection, _, name = path.rpartition("/")
            found.setdefault(collection, {})[name] = None if path in scaled else item["spec"].get("replicas", 1)
    return found


def rolled_out(deployment: Mapping[str, Any], wanted: int | None) -> bool:
    """Say whether the wanted replicas are there, all of the newest template and available, and none left over."""
    status = deployment.get("status", {})
    wanted = deployment["spec"].get("replicas", 1) if wanted is None else wanted
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    # A Rollout writes the number as a text, and says itself when a release is over and well.
    seen, well = int(status.get("observedGeneration") or 0), status.get("phase", "Healthy") == "Healthy"
    return seen >= deployment["metadata"]["generation"] and counts == [wanted] * 3 and well


async def well(kube: Kube, objects: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether the stack is up at this moment; ask once and wait for nothing."""
    objects = list(objects)
    try:
        for collection, wanted in replicas(objects).items():
            if _waiting(await kube.list(collection), wanted):
                return False
        for item in objects:
            if item["kind"] == apply.API and await _unserved(kube, item):
                return False
        async with _client(3) as client:
            return await _answers(client, GATEWAY) and await _answers(client, PROMETHEUS)
    except httpx.HTTPError:
        return False


async def rollouts(kube: Kube, objects: Iterable[Mapping[str, Any]]) -> None:
    """Wait for every workload; raise PreconditionFailed with those that are not complete, and why."""
    for collection, wanted in replicas(objects).items():
        await _workloads(kube, collection, wanted)


async def apis(kube: Kube, served: Iterable[Mapping[str, Any]]) -> None:
    """Wait until every API that a Service serves is answered; raise PreconditionFailed with what is said of one."""
    for item in served:
        if said := await _unserved_still(kube, item):
            raise PreconditionFailed(
                f"not served after {ANSWER_SECONDS:.0f} s: {item['metadata']['name']}",
                why=said,
                hint=f"kubectl describe apiservice {item['metadata']['name']}",
            )


async def _unserved_still(kube: Kube, api: Mapping[str, Any]) -> str:
    said = await _unserved(kube, api)
    with anyio.move_on_after(ANSWER_SECONDS):
        while said:
            await anyio.sleep(LOOK_SECONDS)
            said = await _unserved(kube, api)
    return said


async def _unserved(kube: Kube, api: Mapping[str, Any]) -> str:
    """Say why an API is not answered; nothing where it is."""
    try:
        conditions = (await kube.get(apply.path(api))).get("status", {}).get("conditions", ())
    except ApiError as error:
        if error.status != 404:
            raise
        return "it is not there"
    told: Mapping[str, Any] = next((one for one in conditions if one["type"] == "Available"), {})
    return "" if told.get("status") == "True" else str(told.get("message") or "the API server says nothing of it")


async def wait(kube: Kube, objects: Iterable[Mapping[str, Any]]) -> None:
    """Wait for every workload, then for gateway and Prometheus; raise PreconditionFailed with what is missing."""
    await rollouts(kube, objects)
    async with _client(5) as client:
        for url in (GATEWAY, PROMETHEUS):
            await _answer(client, url)


def _client(seconds: float) -> httpx.AsyncClient:
    # Both ways in are on this machine: a proxy for the outside world cannot reach them.
    return httpx.AsyncClient(timeout=seconds, trust_env=False)


def _waiting(found: Iterable[Mapping[str, Any]], wanted: Replicas) -> set[str]:
    there = {item["metadata"]["name"]: item for item in found}
    return {name for name, count in wanted.items() if name not in there or not rolled_out(there[name], count)}


async def _workloads(kube: Kube, collection: str, wanted: Replicas) -> None:
    items, version = await kube.list_at(collection)
    waiting = _waiting(items, wanted)
    with anyio.move_on_after(ROLLOUT_SECONDS):
        if waiting:
            async for kind, seen in kube.watch(collection, since=version):
                name = seen["metadata"]["name"]
                if name in wanted:
                    up = kind != "DELETED" and rolled_out(seen, wanted[name])
                    (waiting.discard if up else waiting.add)(name)
                if not waiting:
                    break
    if waiting:
        namespace = collection.split("/")[-2]
        raise PreconditionFailed(
            f"not ready after {ROLLOUT_SECONDS:.0f} s: {', '.join(sorted(waiting))}",
            where=namespace,
            why="; ".join(await _complaints(kube, collection, namespace)) or "its pods say nothing",
            hint=f"kubectl --namespace {namespace} describe pods",
        )


async def _complaints(kube: Kube, collection: str, namespace: str) -> list[str]:
    said = []
    for workload in await kube.list(collection):
        for condition in workload.get("status", {}).get("conditions") or []:
            # Pods that the API server refuses are nowhere else.
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                said.append(f"{workload['metadata']['name']}: {condition.get('message', condition.get('reason'))}")
    for pod in await kube.list(pods(namespace)):
        status = pod.get("status", {})
        for condition in status.get("conditions") or []:
            if condition["type"] == "PodScheduled" and condition["status"] != "True":
                said.append(f"{pod['metadata']['name']}: {condition.get('message', condition.get('reason'))}")
        # Init containers are asked, too: while one holds the others up, these say only that they wait.
        for container in backoff.statuses(pod):
            state = container.get("state", {})
            if waiting := state.get("waiting"):
                said.append(f"{pod['metadata']['name']}: {waiting.get('reason')} {waiting.get('message', '')}".strip())
            elif "running" in state and container.get("started") is False:
                said.append(f"{pod['metadata']['name']}: {container['name']} runs and has not come up")
    return said


async def _answer(client: httpx.AsyncClient, url: str) -> None:
    why = "no answer"
    with anyio.move_on_after(ANSWER_SECONDS):
        while True:
            try:
                answer = await client.get(url, headers={"Host": HOST})
                if answer.status_code == 200:
                    return
                why = f"{answer.status_code} {answer.text[:200]}"
            except httpx.HTTPError as error:
                why = f"{type(error).__name__} {error}".strip()
            await anyio.sleep(LOOK_SECONDS)
    raise PreconditionFailed(f"no 200 within {ANSWER_SECONDS:.0f} s", where=url, why=why)


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    return (await client.get(url, headers={"Host": HOST})).status_code == 200
