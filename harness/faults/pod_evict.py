"""Ask to evict a pod, as a drain or an autoscaler does: its disruption budget decides."""

from __future__ import annotations

from harness.errors import ObservationFailed
from harness.faults import eviction, pods
from harness.faults.reach import Facts, Reach, Undo
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.workloads.pod import Pod


class PodEvict:
    """Evict one pod through the eviction API; with a `deadline` a refusal (429) is retried that long.

    A budget's refusal is an answer, not a failure: it was asked and held, and nothing needs healing. 500 says that
    more than one budget covers the pod: nothing was decided, so nothing was felt. An eviction that was granted is
    felt and healed as a pod kill is.
    """

    kind = "pod_evict"
    hand = Hand.API

    def undo(self, fault: PlannedFault, reach: Reach) -> Undo:
        """Nothing to undo: the pod's controller replaces it."""
        return []

    def loses(self, fault: PlannedFault, pod: Pod) -> bool:
        """Say yes: an eviction that is granted deletes the pod."""
        return True

    async def inject(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Ask for the eviction and note the answer."""
        pod = await pods.prepare(fault, reach)
        deadline = float(fault.parameters.get("deadline") or 0)
        facts = await eviction.evict(reach, pod, deadline=deadline, owner=reach.note(fault)["owner"])
        if facts["status"] in (404, 409):
            raise pods.gone(fault)
        reach.note(fault).update(status=facts["status"], message=facts["message"])
        return {"uid": fault.victim.uid, **facts}

    async def felt(self, fault: PlannedFault, reach: Reach) -> Facts | None:
        """Give the budget's refusal, or wait until the pod is gone or being replaced."""
        note = reach.note(fault)
        if note.get("status") == eviction.REFUSED:
            return {"status": note["status"], "message": note.get("message", ""), "refused": True}
        if note.get("status", eviction.CREATED) >= 400:
            raise ObservationFailed(
                "the eviction was neither granted nor refused by a budget", why=note.get("message", "")
            )
        return {"status": eviction.CREATED} | await pods.removed(fault, reach)

    async def heal(self, fault: PlannedFault, reach: Reach) -> None:
        """Nothing to ask for: the pod's controller is at it already."""

    async def healed(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Wait until the workload is complete again; at once after a refusal."""
        if reach.note(fault).get("status", eviction.CREATED) >= 400:
            return {"refused": True}
        return await pods.replaced(fault, reach)


FAULT = PodEvict()
