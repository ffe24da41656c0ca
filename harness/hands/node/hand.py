"""Agents act as soon as a fault's resource is there, and undo it when it goes, is marked, or its run is over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from harness.agent import manifest
from harness.cluster import paths
from harness.errors import ApiError, HarnessError, PreconditionFailed
from harness.hands.healer import Healer
from harness.hands.kind import HandKind, Place, Taken
from harness.hands.node import asking
from harness.model.check import Check
from harness.model.fault import FaultSpec, Hand, Target, Undo

OWED = "chaos_agent_faults_owed"
LOOK_SECONDS = 5.0
LABELS = f"app.kubernetes.io/name={manifest.NAME}"


@dataclass(frozen=True, slots=True)
class NodeHand:
    """The hand of one run: each agent reads for itself what it is to do, and has a ledger of its own."""

    async def register(self, fault_id: str, undo_ops: Undo) -> None:
        """Remember nothing: the agent writes into its ledger before it acts."""

    async def apply(self, fault_id: str, ops: Undo) -> dict[str, Any]:
        """Raise PreconditionFailed: there is nothing but the fault's resource."""
        raise _not_by_operations()

    async def inspect(self, thing: str) -> dict[str, Any]:
        """Raise PreconditionFailed: there is nothing but the fault's resource."""
        raise _not_by_operations()

    async def heal(self, fault_id: str) -> Any:
        """Raise PreconditionFailed: there is nothing but the fault's resource."""
        raise _not_by_operations()

    async def forget(self, fault_id: str) -> None:
        """Forget nothing: the agent strikes off what it has undone."""


def _not_by_operations() -> PreconditionFailed:
    return PreconditionFailed("an agent is asked by the fault's resource alone", hint="harness.hands.node.asking")


async def ready(place: Place, faults: Sequence[FaultSpec]) -> None:
    """Return when each node that may be hit has an agent that is Ready; raises PreconditionFailed.

    Where the agents may not be looked at, one that is missing is told of when a fault is injected; so is that of a node
    which is meant by its own labels.
    """
    if place.inside:
        return
    try:
        agents = {node for node, is_ready in await _agents(place) if is_ready}
    except ApiError as error:
        if error.status != 403:
            raise
        return
    nodes: set[str] = set()
    for name, selector in sorted({where for spec in faults for where in _pods_of(spec.target)}):
        pods = await place.kube.list(paths.pods(name), labels=selector or None)
        nodes |= {str(pod["spec"].get("nodeName", "")) for pod in pods if _lives(pod)}
    lacking = sorted(nodes - agents - {""})
    if lacking or not agents:
        raise PreconditionFailed(
            f"no agent is ready on {', '.join(lacking) or 'any node'}",
            where=place.kube.context,
            why="such faults are done and undone by the agent on the node",
            hint=_install(place),
        )


def _pods_of(target: Target) -> list[tuple[str, str]]:
    """Name, by namespace and label, the pods that may be picked, or that a node hosts which may be."""
    namespace, _, label = target.hosting.partition("/")
    return [*((name, target.selector) for name in target.within), *([(namespace, label)] if namespace else [])]


def take(place: Place, healer: Healer) -> Taken:
    """Return the hand; agents that are missing were told of by `ready`."""
    return NodeHand()


async def residue(place: Place) -> Mapping[str, str]:
    """Return how many faults each agent still owes an undo, in its own words."""
    lines: dict[str, str] = {}
    try:
        pods = await _pods(place)
    except ApiError as error:
        if error.status != 403:
            raise
        return {"unseen/agents": "forbidden"}

    async def ask(pod: Mapping[str, Any]) -> None:
        node = str(pod["spec"].get("nodeName", ""))
        lines[f"unseen/agent/{node}"] = "away"
        with anyio.move_on_after(LOOK_SECONDS):
            try:
                text = await place.kube.get_text(_page(pod, "metrics"))
            except HarnessError:
                return
            del lines[f"unseen/agent/{node}"]
            lines[f"agent/{node}/owes"] = _value(text, OWED)

    async with anyio.create_task_group() as together:
        for pod in pods:
            together.start_soon(ask, pod)
    return lines


async def checks(place: Place) -> list[Check]:
    """Say on how many nodes an agent is ready, and what it cannot do; none is needed until a fault is of this hand."""
    if place.inside:
        return []
    try:
        pods = {str(pod["spec"].get("nodeName", "")): pod for pod in await _pods(place) if _is_ready(pod)}
        nodes = {str(node["metadata"]["name"]) for node in await place.kube.list(paths.nodes())}
    except ApiError as error:
        if error.status != 403:
            return [Check("cluster", "agents", False, error.message or error.what, _install(place))]
        return []
    except HarnessError as error:
        return [Check("cluster", "agents", False, error.what, error.hint)]
    lacking = sorted(nodes - pods.keys())
    said = [f"ready on {len(nodes) - len(lacking)} of {len(nodes)} nodes"]
    if lacking:
        said.append(f"faults inside of pods, and of nodes' packets, need one on {', '.join(lacking)}")
    offered: list[tuple[str, str, Any]] = []

    async def ask(node: str, pod: Mapping[str, Any]) -> None:
        offered.extend((node, what, offer) for what, offer in (await _offers(place, pod)).items())

    async with anyio.create_task_group() as together:
        for node, pod in pods.items():
            together.start_soon(ask, node, pod)
    unable = sorted(f"{node} cannot do {what}: {offer['said']}" for node, what, offer in offered if not offer["ok"])
    able = sorted({f"{what} by {offer['said']}" for _, what, offer in offered if offer["ok"]})
    text = "; ".join([*said, *able, *unable])
    return [Check("cluster", "agents", True, text, _install(place), warning=bool(lacking or unable))]


async def _offers(place: Place, pod: Mapping[str, Any]) -> dict[str, Any]:
    """Ask an agent what its node lets it do; nothing where it does not answer or may not be asked."""
    with anyio.move_on_after(LOOK_SECONDS):
        try:
            found: dict[str, Any] = json.loads(await place.kube.get_text(_page(pod, "offers")))
        except (HarnessError, ValueError):
            return {}
        return found
    return {}


async def _pods(place: Place) -> list[dict[str, Any]]:
    found = await place.kube.list(paths.pods(manifest.NAMESPACE), labels=LABELS)
    return [pod for pod in found if _lives(pod)]


def _lives(pod: Mapping[str, Any]) -> bool:
    """Say whether a pod is there to stay: one that its kubelet evicted keeps its object, and its node's name."""
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not (ended or pod["metadata"].get("deletionTimestamp"))


async def _agents(place: Place) -> list[tuple[str, bool]]:
    return [(str(pod["spec"].get("nodeName", "")), _is_ready(pod)) for pod in await _pods(place)]


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _page(pod: Mapping[str, Any], name: str) -> str:
    return f"{paths.pods(manifest.NAMESPACE, pod['metadata']['name'])}:{manifest.PORT}/proxy/{name}"


def _value(text: str, name: str) -> str:
    found = (line.split() for line in text.splitlines() if line.startswith(f"{name} "))
    return next((words[1] for words in found), "unknown")


def _install(place: Place) -> str:
    return "harness agent install" + ("" if place.cluster else f" --context {place.kube.context} --image IMAGE")


HAND = HandKind(
    hand=Hand.NODE, by_healer=False, ready=ready, take=take, residue=residue, checks=checks, undo=asking.heal
)
