"""Fill a volume of a container that is a file system of its own, up to a share of what it may hold.

Without `container` that is the one that the pod's annotation `kubectl.kubernetes.io/default-container` names, else the
first ordinary one; without `volume` the only one of its volumes that may be written. That is an emptyDir in memory with
a sizeLimit, or a claim that is a file system of its own; the plan refuses what lies on the node's disk, and the agent a
claim that does (a hostPath, a local path), whatever its size. What fills is a file without a name: nobody sees it in a
listing, everybody who mounts that volume finds the space taken, and it goes with the process that holds it, whatever
that one dies of. Felt when the file system's own count of used blocks is within 1 % of the share: 1 to 4 s. What is in
memory counts for the container; where that would bring it above 95 % of its memory limit the agent refuses, and where
its node, or the node's pods together, would have too little left. A fault on what is in memory ends when half of what
these are to keep is gone later. Healed when the process is gone and the pod is Ready; it dies with the agent's worker,
and after 15 minutes in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import resources, volumes
from harness.model.disturbance import Disturbance
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.model.units import rounded
from harness.targets.reach import Facts
from harness.workloads.pod import Pod


def effect(fault: PlannedFault, pod: Pod) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {
        "kind": "disk",
        "path": volumes.path(fault, pod, volumes.filled),
        "share": fault.parameters.get("share", 0.95),
    }


def words(told: Facts) -> str:
    """Say what the file system counted."""
    if "used_bytes" not in told:
        return f"{rounded((told.get('did') or {}).get('filled') or 0.0)} of the volume in use"
    share = rounded(told["used_bytes"] / told["most_bytes"])
    return f"{share} of the volume in use: {told['used_bytes'] >> 10} of {told['most_bytes'] >> 10} KiB"


FAULT = resources.fault(
    "pod_disk_fill",
    summary="Fill a volume of a container that is limited in size.",
    evidence="so much of the volume is in use, by the file system's own count",
    parameters=(
        volumes.VOLUME,
        Parameter(
            "share",
            Type.RATIO,
            "Up to which share of what it may hold the volume is filled.",
            default=0.95,
            minimum=0.01,
        ),
    ),
    effect=effect,
    unfit=volumes.unfit(volumes.filled),
    words=words,
    meant=volumes.meant,
    disturbs=(Disturbance.SERVING, Disturbance.CAPACITY, Disturbance.DATA),
)
