"""Send a signal to a container's main process, by the agent on its node.

Without `container` that is the one that the pod's annotation `kubectl.kubernetes.io/default-container` names, else the
first ordinary one. Only the main process gets the signal. Felt by what becomes of it: STOP when the kernel holds the
process stopped; what it has a handler for, as the kernel says, at once: whether it does anything then is its own
affair; KILL and any other when the kubelet reports the container's end (one to two seconds). What it ignores or blocks
is not felt, and neither is what the kernel drops: for the first process of a container that is all that it does not
handle, but for KILL and STOP. One that awaits signals without a handler (sigwait, as tini does) shows it by its end.
Healed when what was stopped goes on, a container that ended runs anew, and the pod is Ready. A stopped process goes on
when the agent, its lease or the engine ends. Init and ephemeral containers are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from harness.agent.resident.fault import SIGNALS
from harness.agent.resident.processes import signals
from harness.errors import ObservationFailed
from harness.faults import answers, container_kill, packets, resources
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
from harness.workloads.pod import Pod

OP = container_kill.OP
TAKEN = {signals.STOPS: "stopped", signals.CONTINUES: "goes on", signals.CAUGHT: "handled"}
UNTAKEN = {signals.IGNORED: "it is ignored", signals.WAITS: "it was not taken within a second"}
_stays = answers.healed()


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say what becomes of the pod: one that is stopped may fail its liveness probe, most other signals may end it."""
    endless = fault.parameters["signal"] in container_kill.ENDLESS
    return pods.probed(fault, pod) if endless else container_kill.fate(fault, pod)


async def order(fault: PlannedFault, reach: Reach) -> Mapping[str, Any]:
    """Look at the pod and return what the agent is told."""
    await resources.look(fault, reach, fate)
    return {"op": OP, "container": reach.note(fault)["id"], "signal": fault.parameters["signal"]}


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Wait until the process was stopped, took the signal, or ended."""
    told: Facts = {}
    while not told:
        told = await asking.told(reach.kube, resource.path(fault), OP, str(fault.victim))
        if not told:
            await anyio.sleep(resources.PAUSE_SECONDS)
    taken = told["taken"]
    if taken in UNTAKEN:
        raise ObservationFailed(f"the signal had no effect: {UNTAKEN[taken]}", where=str(fault.victim))
    if taken in TAKEN:
        return {"process": TAKEN[taken], "pid": told["pid"]}
    reach.note(fault)["ended"] = True
    return await container_kill.felt(fault, reach)


async def heal(fault: PlannedFault, reach: Reach) -> None:
    """Have the agent let go on what it stopped; where that went on before, it was not stopped as asked for."""
    ended = await asking.heal(reach.kube, resource.path(fault))
    if fault.parameters["signal"] == "STOP":
        resources.take_back(fault, reach, ended)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the container runs anew, where it ended, and the pod is Ready as before."""
    return await (container_kill.healed if reach.note(fault).get("ended") else _stays)(fault, reach)


FAULT = FaultKind(
    name="pod_signal",
    hand=Hand.NODE,
    target="pod",
    summary="Send a signal to the main process of one container, the pod's default one when none is named.",
    evidence="the process is stopped, handles the signal, or the kubelet reports the container's end",
    healed_when="what was stopped goes on, what ended runs anew, and the pod is ready as before",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT}),
    parameters=(Parameter("signal", Type.SIGNAL, "The signal, by name.", required=True, choices=SIGNALS),),
    container=True,
    restarts=True,
    rights=resources.RIGHTS,
    unfit=resources.beyond,
    fate=fate,
    inside=containers.one_named,
    order=order,
    inject=packets.inject,
    felt=felt,
    heal=heal,
    healed=healed,
)
