"""Leave nothing of a namespace's quota for one kind of thing: what is there stays, nothing more is admitted.

A ResourceQuota of this fault's own with a hard limit of 0 does it, beside whatever quotas there are, which stay as
they are; the undo deletes this one. Nothing is deleted by it, so no pod counts against the cap; but a pod that dies
meanwhile is not replaced, a rollout stands still, and an autoscaler asks in vain. Felt when the quota controller says
that nothing is left (about a second); healed when the quota is gone. A controller that was refused tries again in its
own time, which grows up to a quarter of an hour with each refusal: an objective about recovery shows it.
"""

from __future__ import annotations

from harness.cluster import paths
from harness.faults import beside
from harness.faults.kind import FaultKind, Object, as_recorded, recorded
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.resources import resource
from harness.targets import objects
from harness.targets.reach import Facts, Reach

PODS = "pods"
COUNTED = (PODS, "services", "configmaps", "secrets", "persistentvolumeclaims")


def _path(fault: PlannedFault) -> str:
    return paths.core(fault.victim.namespace, "resourcequotas", resource.beside(fault))


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Create the quota."""
    of = fault.parameters["of"]
    name = await beside.create(reach, _path(fault), "v1", "ResourceQuota", spec={"hard": {of: "0"}})
    return {"quota": name, "of": of}


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the quota controller says that nothing is left."""
    of = fault.parameters["of"]

    def exhausted(quota: Object | None) -> Facts | None:
        status = (quota or {}).get("status") or {}
        hard, used = ((status.get(name) or {}).get(of) for name in ("hard", "used"))
        return {"hard": hard, "used": used, "of": of} if hard == "0" and used is not None else None

    return await objects.until(reach, _path(fault), exhausted)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the quota is gone."""
    return await beside.gone(reach, _path(fault), "quota")


FAULT = FaultKind(
    name="namespace_quota_exhaustion",
    hand=Hand.API,
    target="namespace",
    summary="Leave nothing of a namespace's quota, so that no pod, or nothing of another kind, is admitted any more.",
    evidence="the quota controller says that nothing is left",
    healed_when="the quota is gone",
    disturbs=frozenset({Disturbance.CAPACITY}),
    parameters=(Parameter("of", Type.TEXT, f"Of what: {', '.join(COUNTED)}.", default=PODS, choices=COUNTED),),
    rights=(
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["resourcequotas"], "verbs": ["get", "create", "delete"]},
    ),
    unfit=beside.unfit,
    prepare=beside.prepare(_path),
    undo=recorded,
    inject=inject,
    felt=felt,
    heal=as_recorded,
    healed=healed,
)
