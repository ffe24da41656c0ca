"""Delete a pod, as a crashed node agent or a careless hand would: no disruption budget is asked."""

from __future__ import annotations

from harness.cluster import kube as api
from harness.errors import ApiError
from harness.faults import pods
from harness.faults.reach import Facts, Reach, Undo
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.workloads.pod import Pod


class PodKill:
    """Delete one pod by name and UID; `grace` seconds, 0 to force.

    Felt as soon as the API server shows the pod going or gone (milliseconds, whatever grace it has). Healed when its
    workload has as many ready pods of its own as it wants, which of a StatefulSet is after the pod's own grace.
    """

    kind = "pod_kill"
    hand = Hand.API

    def undo(self, fault: PlannedFault, reach: Reach) -> Undo:
        """Nothing to undo: the pod's controller replaces it."""
        return []

    def loses(self, fault: PlannedFault, pod: Pod) -> bool:
        """Say yes: the pod itself is deleted."""
        return True

    async def inject(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Delete the pod, only while it has the planned UID."""
        await pods.prepare(fault, reach)
        await reach.guard()
        grace, victim = fault.parameters.get("grace"), fault.victim
        try:
            await reach.kube.delete(
                api.pods(victim.namespace, victim.name), uid=victim.uid, grace=None if grace is None else int(grace)
            )
        except ApiError as error:
            if error.status in (404, 409):
                raise pods.gone(fault) from error
            raise
        return {"uid": victim.uid, "owner": str(reach.note(fault)["owner"])}

    async def felt(self, fault: PlannedFault, reach: Reach) -> Facts | None:
        """Wait until the pod is gone or being replaced."""
        return await pods.removed(fault, reach)

    async def heal(self, fault: PlannedFault, reach: Reach) -> None:
        """Nothing to ask for: the pod's controller is at it already."""

    async def healed(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Wait until the workload is complete again."""
        return await pods.replaced(fault, reach)


FAULT = PodKill()
