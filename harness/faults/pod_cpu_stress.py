"""Burn CPU in a container's own control group, so that its limit throttles whatever runs in it.

Without `container` that is the one that the pod's annotation `kubectl.kubernetes.io/default-container` names, else the
first ordinary one. `workers` processes burn, one more than the limit has cores where it is left out, each `load` of its
time; what runs in the container competes with them for what the limit allows. Felt when the kernel has throttled the
container's group in three periods (0.1 s each) since the fault began, by the group's own counters, which the agent
reads: 1 to 4 s. Where the node is so busy that the limit is never reached nothing is throttled, and the fault is not
felt. A container without a CPU limit is refused by the plan, one whose limit the node's CPUs cannot reach by the agent:
there the node would be taken. On cgroup v2 the memory of the processes, reckoned at 2 MiB each, counts for the
container; where that would bring it above 95 % of its memory limit the agent refuses. Healed when the processes are
gone and the pod is Ready; they die with the agent's worker, and after 15 minutes in any case. A container that ends
meanwhile (its liveness probe) ends the fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import resources
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.targets.reach import Facts
from harness.workloads.pod import Pod


def effect(fault: PlannedFault, pod: Pod) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {"kind": "cpu", "workers": fault.parameters.get("workers"), "load": fault.parameters.get("load", 1.0)}


def words(told: Facts) -> str:
    """Say what the kernel counted."""
    count = told.get("throttled", told["did"].get("throttled") if told.get("did") else 0)
    if "periods" not in told:
        return f"throttled in {count} periods"
    of = f"throttled in {count} of {told['periods']} periods, for {told['throttled_ms'] / 1e3:.1f} s"
    return f"{of}; used {told['used_ms'] / 1e3:.1f} s of CPU at a limit of {told['limit_cores']:g}"


FAULT = resources.fault(
    "pod_cpu_stress",
    summary="Burn CPU inside a container's own limit, so that it is throttled.",
    evidence="the kernel has throttled the container's control group, by its own counters",
    parameters=(
        Parameter(
            "workers",
            Type.INTEGER,
            "How many processes burn; one more than the limit has cores by default.",
            minimum=1,
            maximum=64,
        ),
        Parameter("load", Type.RATIO, "How much of its time each one burns.", default=1.0, minimum=0.01),
    ),
    effect=effect,
    unfit=resources.limited("cpu"),
    words=words,
)
