"""Hold a container's memory at a share of its limit, whatever the container itself takes meanwhile.

Without `container` that is the one that the pod's annotation `kubectl.kubernetes.io/default-container` names, else the
first ordinary one. A process of the fault's own in the container's control group takes memory until the group has
`share` of its limit in use (what could be read again from files counts as free), and gives it back where the container
takes more, so that the share stays. What the container finds is little room: files are read again and again, and a
sudden need ends in the kernel's end of that process first, and where it ends all of a container at once (cgroup v2) of
the container with it (pod_memory_oom does that on purpose). Felt when the group's memory in use is within 2 % of the
limit of what was asked for, by the group's own counters, which the agent reads: 1 to 4 s. A container without a memory
limit is refused by the plan; by the agent one that uses so much by itself, and where the node, or its pods together,
would have too little left. It ends when half of what these are to keep is gone later. Healed when the process is gone
and the pod is Ready; it dies with the agent's worker, and after 15 minutes in any case. What ended early was not felt;
a container that ends ends the fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import resources
from harness.model.disturbance import Disturbance
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.model.units import rounded
from harness.targets import pods
from harness.targets.pods import Fate
from harness.targets.reach import Facts
from harness.workloads.pod import Pod

MEBI = 1 << 20


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say what becomes of the pod: the kernel may end a container that needs more than what is left to it."""
    found = pods.ending(pod, [fault.victim.container], failed=True)
    return pods.probed(fault, pod) if found is Fate.RESTARTED else found


def effect(fault: PlannedFault, pod: Pod) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {"kind": "memory", "share": fault.parameters.get("share", 0.9)}


def words(told: Facts) -> str:
    """Say what the kernel counted."""
    filled = (told.get("did") or {}).get("filled")
    if "used_bytes" not in told:
        return f"{rounded(filled or 0.0)} of the limit in use"
    used, limit = told["used_bytes"], told["limit_bytes"]
    ended = (
        f"; processes that the kernel ended for lack of memory: {told['oom_kills']}" if told.get("oom_kills") else ""
    )
    return f"{rounded(used / limit)} of the limit in use: {used // MEBI} of {limit // MEBI} MiB{ended}"


FAULT = resources.fault(
    "pod_memory_stress",
    summary="Hold a container's memory at a share of its limit.",
    evidence="so much of the container's limit is in use, by its control group's own counters",
    parameters=(
        Parameter(
            "share",
            Type.RATIO,
            "Up to which share of the container's limit its memory is filled.",
            default=0.9,
            minimum=0.05,
            maximum=0.95,
        ),
    ),
    effect=effect,
    unfit=resources.limited("memory"),
    fate=fate,
    words=words,
    disturbs=(Disturbance.SERVING, Disturbance.CAPACITY),
)
