"""Send a signal (KILL by default) to the container's main process, by the agent on its node.

Without `container` that is the one that the pod's annotation `kubectl.kubernetes.io/default-container` names, else
the first ordinary one: a sidecar is hit only when it is named. Only the main process gets the signal; what a person
has open with `kubectl exec` ends with the container, if it ends. Init and ephemeral containers are refused: the
kubelet does not start them again. What only stops a process is `pod_signal`'s.

Felt when the kubelet reports this container's end or another one in its place (one to two seconds). Healed when the
container runs anew and the pod is Ready; after several kills the kubelet's back-off adds 10 s, 20 s and so on, so
a plan takes the pods that are back soonest, and none that would be back later than the run waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.agent.resident.fault import SIGNALS
from harness.cluster.observe import Objects
from harness.faults import resources
from harness.faults.kind import FaultKind
from harness.hands.node import asking
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.resources import resource
from harness.targets import containers, pods
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod, is_ready, is_static, known_as

OP = "signal"
# What ends no container.
ENDLESS = ("STOP", "CONT")
ENDING = tuple(name for name in SIGNALS if name not in ENDLESS)
# As many characters of a container's id as its tools show.
SHOWN = 12


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say whether the container starts again: only SIGKILL cannot be answered with an exit code of 0."""
    name = fault.victim.container or containers.default(pod)
    return pods.ending(pod, [name], failed=_signal(fault) == "KILL")


async def order(fault: PlannedFault, reach: Reach) -> Mapping[str, Any]:
    """Look at the pod and return what the agent is told; of a static pod also the UID that its mirror does not have."""
    pod = await resources.look(fault, reach, fate)
    told = {"op": OP, "container": reach.note(fault)["id"], "signal": _signal(fault)}
    return told | ({"pod": known_as(pod)} if is_static(pod) else {})


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the agent has signalled the container's main process."""
    status, note = await asking.applied(reach.kube, resource.path(fault)), reach.note(fault)
    seen = {name: note[name] for name in ("container", "id", "restarts")}
    struck = (status.get("evidence") or {}).get(OP) or {}
    return {**seen, "signal": _signal(fault), "pid": struck.get("pid"), "applied": status["appliedAt"]}


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Wait until the kubelet reports the container dead or started again."""
    note = reach.note(fault)

    async def judge(found: Objects) -> Facts | None:
        now = containers.status(pods.present(found, fault, "its container was seen dead"), note.get("container"))
        if not now:
            return None
        dead = now.get("state", {}).get("terminated") or now.get("lastState", {}).get("terminated") or {}
        if containers.identity(dead) != note["id"] and containers.identity(now) == note["id"]:
            return None
        restarts = int(now.get("restartCount", 0))
        end = {"exit_code": dead.get("exitCode"), "reason": dead.get("reason")}
        return {"id": containers.identity(now)[:SHOWN], "restarts": restarts, **end}

    return await pods.until(fault, reach, judge)


async def heal(fault: PlannedFault, reach: Reach) -> None:
    """Have the agent strike it off: the kubelet starts the container again."""
    await asking.heal(reach.kube, resource.path(fault))


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the container runs anew and the pod is Ready, or the workload is complete without it."""
    note = reach.note(fault)

    def again(pod: Pod) -> Facts | None:
        now = containers.status(pod, note.get("container"))
        anew = now.get("ready") and containers.identity(now) != note.get("id")
        return {"id": containers.identity(now)[:SHOWN], "ready": True} if anew and is_ready(pod) else None

    return await pods.whole(fault, reach, again)


def _signal(fault: PlannedFault) -> str:
    return str(fault.parameters.get("signal") or "KILL").removeprefix("SIG")


FAULT = FaultKind(
    name="container_kill",
    hand=Hand.NODE,
    target="pod",
    summary="Send a signal to the main process of one container, the pod's default one when none is named; the"
    " kubelet restarts it in the same pod.",
    evidence="the kubelet reports the end of this very container, or another one in its place",
    healed_when="the pod is ready again",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT}),
    parameters=(Parameter("signal", Type.SIGNAL, "The signal, by name.", default="KILL", choices=ENDING),),
    container=True,
    instant=True,
    restarts=True,
    rights=resources.RIGHTS,
    unfit=resources.an_agent,
    fate=fate,
    inside=containers.one_named,
    order=order,
    inject=inject,
    felt=felt,
    heal=heal,
    healed=healed,
)
