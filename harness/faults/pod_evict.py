"""Evict one pod through the eviction API; with a `deadline` a refusal (429) is retried that long.

A budget's refusal is an answer, not a failure: it was asked and held, and nothing needs healing. 500 says that
more than one budget covers the pod: nothing was decided, so nothing was felt. An eviction that was granted is
felt and healed as a pod kill is.
"""

from __future__ import annotations

from harness.errors import ObservationFailed
from harness.faults.kind import FaultKind
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.targets import eviction, pods
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say that the pod is deleted, where its eviction is granted."""
    return Fate.EVICTED


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Ask for the eviction and note the answer."""
    pod = await pods.prepare(fault, reach, fate)
    deadline = float(fault.parameters.get("deadline") or 0)
    facts = await eviction.evict(reach, pod, deadline=deadline, owner=reach.note(fault)["owner"])
    if facts["status"] in (404, 409):
        raise pods.gone(fault)
    reach.note(fault).update(status=facts["status"], message=facts["message"])
    return {"uid": fault.victim.uid, **facts}


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Return the budget's refusal, or wait until the pod is gone or being replaced."""
    note = reach.note(fault)
    if note.get("status") == eviction.REFUSED:
        return {"status": note["status"], "message": note.get("message", ""), "refused": True}
    if note.get("status", eviction.CREATED) >= 400:
        raise ObservationFailed("the eviction was neither granted nor refused by a budget", why=note.get("message", ""))
    return {"status": eviction.CREATED} | await pods.removed(fault, reach)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the workload is complete again; at once after a refusal."""
    if reach.note(fault).get("status", eviction.CREATED) >= 400:
        return {"refused": True}
    return await pods.replaced(fault, reach)


FAULT = FaultKind(
    name="pod_evict",
    hand=Hand.API,
    target="pod",
    summary="Ask the eviction API to remove pods, as a drain or an autoscaler does; a budget may refuse.",
    evidence="the eviction API's answer: 201 granted, or 429 refused by a budget (alone it disturbs nobody)",
    healed_when="the pod's workload has as many ready pods of its own as before, or as it still wants",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.EVICTION}),
    parameters=(
        Parameter("deadline", Type.DURATION, "Ask refused pods again until then; 0 asks each once.", default=0.0),
    ),
    rights=({"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},),
    instant=True,
    fate=fate,
    inject=inject,
    felt=felt,
    healed=healed,
)
