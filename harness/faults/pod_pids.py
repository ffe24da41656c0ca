"""Take up a share of what a container or its pod may have of processes, so that little or nothing can be started there.

Without `container` that is the one that the pod's annotation `kubectl.kubernetes.io/default-container` names, else the
first ordinary one. Threads of one process of the fault's own are started in the container's control group, for they
count as processes do, until `share` of the limit is there; when others end more are started. The limit is the lowest of
the container's and its pod's, where the kubelet writes `podPidsLimit`. Nothing in the API says what it is, so it is the
agent that refuses where there is none of at most 4096: what is left then is the node's own. Felt when the group counts
so many processes: 1 to 4 s. Threads take memory, some 45 KiB each, which counts for the container; where that would
bring it above 95 % of its memory limit the agent refuses, and where so many are there by themselves. Healed when the
process is gone and the pod is Ready; it dies with the agent's worker, and after 15 minutes in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import resources
from harness.model.disturbance import Disturbance
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.targets.reach import Facts
from harness.workloads.pod import Pod


def effect(fault: PlannedFault, pod: Pod) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {"kind": "pids", "share": fault.parameters.get("share", 1.0)}


def words(told: Facts) -> str:
    """Say what the kernel counted."""
    there = told.get("there", (told.get("did") or {}).get("there", 0))
    return f"{there} processes" + (f" of {told['limit']} are there" if "limit" in told else " are there")


FAULT = resources.fault(
    "pod_pids",
    summary="Take up what a pod may have of processes, so that nothing more can be started in it.",
    evidence="so many processes are there, by the control group's own count",
    parameters=(
        Parameter("share", Type.RATIO, "Up to which share of the limit.", default=1.0, minimum=0.1, maximum=1.0),
    ),
    effect=effect,
    unfit=resources.beyond,
    words=words,
    disturbs=(Disturbance.SERVING, Disturbance.CAPACITY),
)
