"""Fill a container's memory limit until the kernel ends its process for lack of memory (OOM).

Without `container` that is the one that the pod's annotation `kubectl.kubernetes.io/default-container` names, else the
first ordinary one. What fills is a process of the fault's own in the container's control group; its memory counts for
the group and for no process, so the kernel, which ends the largest, ends the container's, and the agent refuses where
it would not (a container of a few MiB that is guaranteed its memory). Where the kubelet has the kernel end all of a
container at once (cgroup v2) that process goes, too. Felt when the kubelet reports the container's end with the reason
OOMKilled (one to two seconds after it); another end is not what was meant, and not felt. A child that the kernel ends
in the place of the main process is no such end: then it is filled on, for 30 s at most. A container without a memory
limit is refused by the plan; by the agent where the pod's own limit is met first and a larger process of another
container would be ended, and where the node, or its pods together, would have too little left. It ends when half of
what these are to keep is gone later. Healed when the container runs anew and the pod is Ready; after several ends the
kubelet's back-off adds 10 s, 20 s and so on, so a plan takes the pods that are back soonest.
"""

from __future__ import annotations

from harness.errors import ObservationFailed
from harness.faults import container_kill, packets, resources
from harness.faults.kind import FaultKind
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.targets import containers, pods
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod

REASON = "OOMKilled"
FILLING_SECONDS = 30.0


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say whether the container starts again: the kernel's end is never an exit code of 0."""
    return pods.ending(pod, [fault.victim.container], failed=True)


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Wait until the kubelet reports the container's end; raises ObservationFailed when it was another than meant."""
    facts = await container_kill.felt(fault, reach)
    if facts and facts["reason"] != REASON:
        raise ObservationFailed(
            "the container ended, and not for lack of memory", where=str(fault.victim), why=str(facts["reason"])
        )
    return facts


def words(told: Facts) -> str:
    """Say what the kernel counted."""
    return f"processes that the kernel ended for lack of memory: {told.get('oom_kills', 0)}"


FAULT = FaultKind(
    name="pod_memory_oom",
    hand=Hand.NODE,
    target="pod",
    summary="Fill a container's memory limit until the kernel ends its process; the kubelet restarts it.",
    evidence=f"the kubelet reports the end of this very container with the reason {REASON}",
    healed_when="the pod is ready again",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT}),
    container=True,
    instant=True,
    restarts=True,
    rights=resources.RIGHTS,
    unfit=resources.limited("memory"),
    fate=fate,
    inside=containers.one_named,
    order=resources.order(lambda *_: {"kind": "oom"}, fate, seconds=FILLING_SECONDS),
    inject=packets.inject,
    felt=felt,
    heal=resources.heal(words),
    healed=container_kill.healed,
)
