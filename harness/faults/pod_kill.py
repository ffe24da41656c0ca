"""Delete one pod by name and UID; `grace` seconds, 0 to force.

Felt as soon as the API server shows the pod going or gone (milliseconds, whatever grace it has). Healed when its
workload has as many ready pods of its own as it wants, which of a StatefulSet is after the pod's own grace.
"""

from __future__ import annotations

from harness.cluster import paths
from harness.errors import ApiError
from harness.faults.kind import FaultKind
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.targets import pods
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say that the pod itself is deleted."""
    return Fate.GONE


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Delete the pod, only while it has the planned UID."""
    await pods.prepare(fault, reach, fate)
    await reach.guard()
    grace, victim = fault.parameters.get("grace"), fault.victim
    try:
        await reach.kube.delete(
            paths.pods(victim.namespace, victim.name), uid=victim.uid, grace=None if grace is None else int(grace)
        )
    except ApiError as error:
        if error.status in (404, 409):
            raise pods.gone(fault) from error
        raise
    return {"uid": victim.uid, "owner": str(reach.note(fault)["owner"])}


FAULT = FaultKind(
    name="pod_kill",
    hand=Hand.API,
    target="pod",
    summary="Delete pods; with `grace: 0` at once, as a crash would.",
    evidence="the pod's UID is gone from the API server, or the pod is going",
    healed_when="the pod's workload has as many ready pods of its own as before, or as it still wants",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT}),
    parameters=(
        Parameter("grace", Type.INTEGER, "Seconds of grace; 0 kills at once, left out uses the pod's own.", minimum=0),
    ),
    rights=({"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},),
    instant=True,
    fate=fate,
    inject=inject,
    felt=pods.removed,
    healed=pods.replaced,
)
