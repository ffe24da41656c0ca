"""Write, sync and read in a volume of a container, so that its disk is busy.

Without `container` that is the one that the pod's annotation `kubectl.kubernetes.io/default-container` names, else the
first ordinary one; without `volume` the only one of its volumes that may be written. That is an emptyDir with a
sizeLimit, or a claim; one in memory is refused, for nothing there waits for a disk. A process of the fault's own writes
64 KiB `rate` times a second somewhere into a file of 8 MiB without a name, syncs it and reads it again; the file goes
with the process. Where less than 16 MiB are free the agent refuses. An emptyDir lies on its node's disk, so whoever
else waits for that disk waits longer, too: hence the low rate by default. Felt when three such writes have gone to the
disk, by what the kernel counts of the process; how long a write with its sync took is told beside it, and is what the
container's own writes meet. Healed when the process is gone and the pod is Ready; it dies with the agent's worker, and
after 15 minutes in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import resources, volumes
from harness.model.disturbance import Disturbance
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.targets.reach import Facts
from harness.workloads.pod import Pod


def effect(fault: PlannedFault, pod: Pod) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    path = volumes.path(fault, pod, volumes.busied)
    return {"kind": "io", "path": path, "rate": fault.parameters.get("rate", 20)}


def words(told: Facts) -> str:
    """Say what the kernel counted."""
    if "written_bytes" not in told:
        return f"{(told.get('did') or {}).get('writes', 0)} writes went to the disk"
    took = f", {told['sync_ms']:g} ms each with its sync" if "sync_ms" in told else ""
    return f"{told['writes']} writes, {told['written_bytes'] >> 10} KiB, went to the disk{took}"


FAULT = resources.fault(
    "pod_io_stress",
    summary="Write, sync and read in a volume of a container, so that its disk is busy.",
    evidence="writes have gone to the disk, by the kernel's count",
    parameters=(
        volumes.VOLUME,
        Parameter("rate", Type.INTEGER, "How many writes of 64 KiB a second.", default=20, minimum=1, maximum=500),
    ),
    effect=effect,
    unfit=volumes.unfit(volumes.busied),
    words=words,
    meant=volumes.meant,
    disturbs=(Disturbance.SERVING, Disturbance.CAPACITY, Disturbance.DATA),
)
