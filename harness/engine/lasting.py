"""Refuse, before anything is touched, a fault that would lose a pod for good: nothing could give it back."""

from __future__ import annotations

from collections.abc import Iterable

from harness.cluster import kube as paths
from harness.cluster.kube import Kube
from harness.errors import ApiError, UsageError
from harness.faults import pods
from harness.model.plan import PlannedFault
from harness.workloads import Owners


async def require(kube: Kube, faults: Iterable[PlannedFault]) -> None:
    """Return when every pod that a fault loses would be replaced; raises UsageError that names one that would not."""
    owners = Owners(kube)
    for fault in faults:
        for one in (fault.victim, *fault.takes):
            if one.kind != "pod":
                continue
            try:
                pod = await kube.get(paths.pods(one.namespace, one.name))
            except ApiError as error:
                if error.status == 404:
                    continue  # the fault itself tells of a target that went
                raise
            if why := await pods.lost_for_good(owners, fault, pod):
                raise UsageError(pods.LOST, where=f"{fault.kind} on {one}", why=why, hint=pods.HINT)
