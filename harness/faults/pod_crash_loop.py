"""Have a container end again and again for a time, so that the kubelet backs off: CrashLoopBackOff.

Without `container` that is the one that the pod's annotation `kubectl.kubernetes.io/default-container` names, else the
first ordinary one. The agent on its node kills its main process at once, and each time that it has run for a second.
The kubelet starts it again at once the first time, then 10 s, 20 s, 40 s and 80 s after its end (Kubernetes, "Pod
lifecycle", container restarts). So at the end it comes back after about as long as the fault has lasted and 10 s more;
the agent stops after two minutes, whatever was asked for, so that this is 80 s at the most: give the recovery phase as
much. A plan takes the pods that are back soonest, and none that the kubelet holds back for longer than the run waits
already; for ten minutes after this fault it would begin with the longer wait. Nothing needs an undo: an agent that ends
kills nothing more.

Felt when the kubelet has started it twice at least and holds it back (about 15 s). Healed when the container was
started once more after each end and the pod is Ready, or its workload is complete without it. One whose
restarts are counted (a Job's, or any that is not always started again) is refused, and a static pod.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cluster import backoff
from harness.cluster.observe import Objects
from harness.faults import packets, resources
from harness.faults.kind import FaultKind, Object, Unfit
from harness.hands.node import asking
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.plan import PlannedFault, Victim
from harness.resources import resource
from harness.targets import containers, pods
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod, is_ready, starts_again

OP = "crash"
LONGEST_SECONDS = 120.0
RESTARTS = 2


def unfit(parameters: Mapping[str, Any], pod: Object, victim: Victim) -> Unfit | None:
    """Find a container that is not started again for ever, or a pod that the agents cannot have."""
    if found := resources.beyond(parameters, pod, victim):
        return found
    if starts_again(pod, victim.container, failed=False):
        return None
    why = "its restarts are counted: it would be given up, and not come back"
    return Unfit(f"container {victim.container} is not always started again", why, "aim at pods of another workload")


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say that the container ends and is started again."""
    return pods.ending(pod, [fault.victim.container], failed=False)


async def order(fault: PlannedFault, reach: Reach) -> Mapping[str, Any]:
    """Look at the pod and return what the agent is told."""
    await resources.look(fault, reach, fate)
    note = reach.note(fault)
    return {"op": OP, "container": note["id"], "name": note["container"], "seconds": LONGEST_SECONDS}


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Wait until the kubelet has started the container twice, and holds it back."""
    note = reach.note(fault)

    async def judge(found: Objects) -> Facts | None:
        now = containers.status(pods.present(found, fault, "it was seen to crash"), note["container"])
        restarts = int(now.get("restartCount", 0)) - note["restarts"]
        waiting = (now.get("state") or {}).get("waiting") or {}
        if restarts < RESTARTS or waiting.get("reason") != backoff.CRASHING:
            return None
        return {"restarts": restarts, "waiting": backoff.CRASHING}

    return await pods.until(fault, reach, judge)


async def heal(fault: PlannedFault, reach: Reach) -> None:
    """Have the agent stop, and note how many of the container's lives it has ended."""
    ended = await asking.heal(reach.kube, resource.path(fault))
    told: Facts = (ended.status.get("evidence") or {}).get(OP) or {}
    if told:
        reach.note(fault)["ended"] = told["ended"]
        reach.emit("fault.told", {"id": fault.id, "evidence": {"counted": f"ended {told['ended']} times"}, OP: told})
    resources.take_back(fault, reach, ended)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the container has been started after each end and the pod is Ready, or its workload is complete."""
    note = reach.note(fault)

    def again(pod: Pod) -> Facts | None:
        now = containers.status(pod, note.get("container"))
        restarts = int(now.get("restartCount", 0)) - note.get("restarts", 0)
        anew = now.get("ready") and restarts >= note.get("ended", 0)
        return {"restarts": restarts, "ready": True} if anew and is_ready(pod) else None

    return await pods.whole(fault, reach, again)


FAULT = FaultKind(
    name="pod_crash_loop",
    hand=Hand.NODE,
    target="pod",
    summary="End a container again and again, the pod's default one when none is named, until the kubelet backs off.",
    evidence="the kubelet has started the container twice, and holds it back: CrashLoopBackOff",
    healed_when="the container runs and the pod is ready again, or its workload is complete without it",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT}),
    container=True,
    restarts=True,
    rights=resources.RIGHTS,
    unfit=unfit,
    fate=fate,
    inside=containers.one_named,
    order=order,
    inject=packets.inject,
    felt=felt,
    heal=heal,
    healed=healed,
)
