"""What faults on a container's resources have in common: what an agent is told, what it says, and when all is over.

The processes that use a resource up run in the container's own control groups, so the container's own limit is what
it meets, and a container without that limit is refused by the plan: the node would be taken in its place. They die with
the agent's worker, whatever that one dies of. What is felt is what the kernel counts in the container's groups; the
agent only reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import anyio

from harness.agent import manifest
from harness.faults import answers, packets
from harness.faults.kind import FaultKind, Object, Rule, Unfit, all_of_it
from harness.hands.node import asking
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.parameter import Parameter
from harness.model.plan import PlannedFault, Victim
from harness.resources import resource
from harness.targets import containers, pods
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod, is_ready, is_static

PAUSE_SECONDS = 0.25
# By then an agent ends it, whatever becomes of everybody else.
LONGEST_SECONDS = 900.0
OP = "resource"
AN_AGENT = "it is an agent: nobody would undo what it does to itself"
RIGHTS: tuple[Rule, ...] = ({"apiGroups": ["chaos.harness.dev"], "resources": ["faults"], "verbs": ["get", "patch"]},)
Effect = Callable[[PlannedFault, Pod], Mapping[str, Any]]
Becomes = Callable[[PlannedFault, Pod], pods.Fate]
Refuses = Callable[[Mapping[str, Any], Object, Victim], Unfit | None]
Words = Callable[[Facts], str]


def fault(
    name: str,
    *,
    summary: str,
    evidence: str,
    effect: Effect,
    unfit: Refuses,
    words: Words,
    fate: Becomes = pods.probed,
    parameters: Sequence[Parameter] = (),
    disturbs: Iterable[Disturbance] = (Disturbance.SERVING, Disturbance.ABRUPT, Disturbance.CAPACITY),
    healed_when: str = "the fault's processes are gone and the pod is ready as before",
    meant: Callable[[Mapping[str, Any]], str] = all_of_it,
) -> FaultKind:
    """Make a fault on a resource of one container: `effect` as the agent reads it, `words` for what was counted."""
    return FaultKind(
        name=name,
        hand=Hand.NODE,
        target="pod",
        summary=summary,
        evidence=evidence,
        healed_when=healed_when,
        disturbs=frozenset(disturbs),
        parameters=tuple(parameters),
        container=True,
        rights=RIGHTS,
        meant=meant,
        unfit=unfit,
        fate=fate,
        inside=containers.one_named,
        order=order(effect, fate),
        inject=packets.inject,
        felt=felt(words),
        heal=heal(words),
        healed=answers.healed(),
    )


def limited(what: str) -> Refuses:
    """Make what refuses a container that has no limit of `cpu` or `memory`."""

    def unfit(parameters: Mapping[str, Any], pod: Object, victim: Victim) -> Unfit | None:
        if found := beyond(parameters, pod, victim):
            return found
        limits = (specified(pod, victim.container).get("resources") or {}).get("limits") or {}
        if what in limits:
            return None
        hint = f"give it resources.limits.{what}, or aim at a container that has one"
        return Unfit(f"container {victim.container} has no {what} limit", "the fault would take its node's", hint)

    return unfit


def beyond(parameters: Mapping[str, Any], pod: Object, victim: Victim) -> Unfit | None:
    """Find the mirror of a static pod, whose processes the agents would look for in vain, or an agent."""
    return _unfit(victim, pods.ELSEWHERE) if is_static(pod) else an_agent(parameters, pod, victim)


def an_agent(parameters: Mapping[str, Any], pod: Object, victim: Victim) -> Unfit | None:
    """Find an agent."""
    metadata = pod["metadata"]
    named = (metadata.get("labels") or {}).get("app.kubernetes.io/name") == manifest.NAME
    if not named or metadata.get("namespace") != manifest.NAMESPACE:
        return None
    return _unfit(victim, AN_AGENT)


def _unfit(victim: Victim, why: str) -> Unfit:
    return Unfit(f"pod {victim} cannot be a target of this fault", why, "a selector that leaves it out")


def specified(pod: Object, name: str) -> Mapping[str, Any]:
    """Return what a pod says of one of its containers."""
    every = (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or []))
    return next((one for one in every if one["name"] == name), {})


def order(effect: Effect, fate: Becomes = pods.probed, **fixed: Any) -> Any:
    """Make what looks at the pod and returns what the agent is told."""

    async def made(fault: PlannedFault, reach: Reach) -> Mapping[str, Any]:
        pod = await look(fault, reach, fate)
        wanted = {key: value for key, value in effect(fault, pod).items() if value is not None}
        identity = reach.note(fault)["id"]
        return {"op": OP, "container": identity, "effect": wanted, "seconds": LONGEST_SECONDS, **fixed}

    return made


async def look(fault: PlannedFault, reach: Reach, fate: Becomes) -> Pod:
    """Look at the pod before anything is done to it, and note the container that is meant as it runs now."""
    pod = await pods.prepare(fault, reach, fate)
    status = containers.running(pod, fault.victim.container)
    identity, restarts = containers.identity(status), int(status.get("restartCount", 0))
    reach.note(fault).update(ready=is_ready(pod), container=status["name"], id=identity, restarts=restarts)
    return pod


def felt(words: Words) -> Callable[[PlannedFault, Reach], Any]:
    """Make what waits until the kernel's counters show it."""

    async def look(fault: PlannedFault, reach: Reach) -> Facts:
        while True:
            told = await asking.told(reach.kube, resource.path(fault), OP, str(fault.victim))
            if told.get("did"):
                return {"counted": words(told)}
            await anyio.sleep(PAUSE_SECONDS)

    return look


def heal(words: Words) -> Callable[[PlannedFault, Reach], Any]:
    """Make what has the agent undo it, and notes what was counted up to the end."""

    async def healing(fault: PlannedFault, reach: Reach) -> None:
        ended = await asking.heal(reach.kube, resource.path(fault))
        told: Facts = (ended.status.get("evidence") or {}).get(OP) or {}
        if told:
            reach.emit("fault.told", {"id": fault.id, "evidence": {"counted": words(told)}, OP: told})
        take_back(fault, reach, ended)

    return healing


async def let_go(fault: PlannedFault, reach: Reach) -> None:
    """Have the agent undo what lasts by itself; where it had ended before, it did not last as asked for."""
    take_back(fault, reach, await asking.heal(reach.kube, resource.path(fault)))


def take_back(fault: PlannedFault, reach: Reach, ended: asking.Ended) -> None:
    """Take the evidence back of what had ended before it was asked to."""
    if ended.early:
        reach.emit("fault.not_felt", {"id": fault.id, "why": f"it ended early: {ended.early}"})
