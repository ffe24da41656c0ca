"""Refuse, before anything is touched, a fault that would lose a pod for good, or that a pod would not feel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.errors import UsageError
from harness.faults import FAULTS
from harness.model.plan import PlannedFault
from harness.targets import pods
from harness.workloads import Owners


async def require(kube: Kube, owners: Owners, faults: Iterable[PlannedFault]) -> None:
    """Return when every pod that a fault loses would go and be replaced; raises UsageError for one that would not."""
    reached = [(fault, one) for fault in faults for one in (fault.victim, *fault.takes) if one.kind == "pod"]
    there: dict[str, Mapping[str, Any]] = {}
    for namespace in sorted({one.namespace for _, one in reached}):
        there |= {pod["metadata"]["uid"]: pod for pod in await kube.list(paths.pods(namespace))}
    earlier: Counter[tuple[str, bool]] = Counter()
    for fault, one in reached:
        # Of a target that went since, the fault itself tells.
        pod = there.get(one.uid)
        if pod is None:
            continue
        fate = FAULTS[fault.kind].fate(fault, pod)
        costs = fate.lost or fate is pods.Fate.RESTARTED
        workload = await owners.of(pod) if costs else None
        key = workload.uid if workload else one.uid, fate.lost
        if found := await pods.unfit(owners, pod, fate, earlier[key], there.values()):
            raise UsageError(found[0], where=f"{fault.kind} on {one}", why=found[1], hint=pods.HINT)
        # As all of them are now: what the faults of this run take comes back in its order.
        if fate.lost and (why := await owners.held_up(pod, there.values())):
            hint = "mend that one first, or take a fault that leaves the pod: pod_freeze, container_kill"
            raise UsageError(pods.LOST, where=f"{fault.kind} on {one}", why=why, hint=hint)
        earlier[key] += costs
