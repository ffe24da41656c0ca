"""Every fault and every objective: parameters, defaults, and which fault can exercise which objective.

An objective that no fault of an experiment can exercise would hold whatever the system does, so the loader refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.model.fault import Hand
from harness.model.parameter import Parameter, Type

# What acts on the containers inside a pod, one or all of them; plan and report name these.
INSIDE = frozenset({"container_kill", "pod_freeze"})

# What any interruption of a serving pod can break.
SERVING = frozenset({"availability", "latency", "recovery", "retries", "burn-rate"})
# A caller's breaker opens only when its dependency stops answering, not when it leaves in good order.
ABRUPT = SERVING | {"breaker"}


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One fault: whose hand does it, what it is aimed at, what it takes and what it can exercise."""

    name: str
    hand: Hand
    target: str
    summary: str
    evidence: str
    healed: str
    exercises: frozenset[str]
    parameters: tuple[Parameter, ...] = ()
    container: bool = False
    instant: bool = False


@dataclass(frozen=True, slots=True)
class ObjectiveKind:
    """One objective: what it promises, its numbers, and when it is broken or unknown."""

    name: str
    summary: str
    broken: str
    unknown: str
    parameters: tuple[Parameter, ...]
    needs_load: bool = True
    one_of: tuple[str, ...] = ()


def _faults(*kinds: FaultKind) -> Mapping[str, FaultKind]:
    return {kind.name: kind for kind in kinds}


FAULTS: Mapping[str, FaultKind] = _faults(
    FaultKind(
        name="pod_kill",
        instant=True,
        hand=Hand.API,
        target="pod",
        summary="Delete pods; with `grace: 0` at once, as a crash would.",
        evidence="the pod's UID is gone from the API server, or it is going while a replacement exists",
        healed="the pod's workload has as many ready pods of its own as before, or as it still wants",
        exercises=ABRUPT,
        parameters=(
            Parameter(
                "grace", Type.INTEGER, "Seconds of grace; 0 kills at once, left out uses the pod's own.", minimum=0
            ),
        ),
    ),
    FaultKind(
        name="pod_evict",
        instant=True,
        hand=Hand.API,
        target="pod",
        summary="Ask the eviction API to remove pods, as a drain or an autoscaler does; a budget may refuse.",
        evidence="the eviction API's answer: 201 granted, or 429 refused by a budget (alone it disturbs nobody)",
        healed="the pod's workload has as many ready pods of its own as before, or as it still wants",
        exercises=SERVING | {"disruption-budget"},
        parameters=(
            Parameter("deadline", Type.DURATION, "Ask refused pods again until then; 0 asks each once.", default=0.0),
        ),
    ),
    FaultKind(
        name="container_kill",
        instant=True,
        hand=Hand.HOST,
        target="pod",
        summary="Send a signal to the main process of one container, the pod's default one when none is named; the"
        " kubelet restarts it in the same pod.",
        evidence="the kubelet reports the end of this very container, or another one in its place",
        healed="the pod is ready again",
        exercises=ABRUPT,
        parameters=(Parameter("signal", Type.SIGNAL, "The signal, by name.", default="KILL"),),
        container=True,
    ),
    FaultKind(
        name="pod_freeze",
        hand=Hand.HOST,
        target="pod",
        summary="Freeze pods, every process of every container, sidecars too; connections stay open and nothing"
        " answers, which tests deadlines.",
        evidence="the pod stops being ready, or stops answering",
        healed="the pod's processes run and it is ready again",
        exercises=ABRUPT,
    ),
    FaultKind(
        name="node_cordon",
        hand=Hand.API,
        target="node",
        summary="Mark nodes unschedulable; running pods stay, replacements must go elsewhere.",
        evidence="the node is unschedulable",
        healed="the node is schedulable again",
        exercises=SERVING - {"retries"},
    ),
    FaultKind(
        name="node_drain",
        hand=Hand.API,
        target="node",
        summary="Cordon nodes and evict their pods, waiting for budgets as an upgrade does.",
        evidence="the node is unschedulable and at least one eviction was answered",
        healed="the node is schedulable and the workloads have their ready pods again",
        exercises=SERVING | {"disruption-budget"},
        parameters=(
            Parameter("deadline", Type.DURATION, "Ask refused evictions again until then.", default=60.0, minimum=1),
            Parameter("local", Type.BOOLEAN, "Whether pods with emptyDir volumes are evicted, too.", default=True),
        ),
    ),
    FaultKind(
        name="node_freeze",
        hand=Hand.HOST,
        target="node",
        summary="Freeze nodes: every process stops, addresses stay, requests to them hang.",
        evidence="the node's kubelet is silent to the API server, or the node is NotReady",
        healed="the node is ready and so are its pods",
        exercises=ABRUPT,
    ),
    FaultKind(
        name="node_stop",
        hand=Hand.HOST,
        target="node",
        summary="Stop nodes abruptly, as a loss of power does; they are started again to heal.",
        evidence="the node's kubelet is silent to the API server, or the node is NotReady",
        healed="the node is ready and so are its pods",
        exercises=ABRUPT,
    ),
)


def _objectives(*kinds: ObjectiveKind) -> Mapping[str, ObjectiveKind]:
    return {kind.name: kind for kind in kinds}


THIN = (
    "fewer than `minimum-operations` operations were seen in the window, the load had gaps, none was served before"
    " the fault either, or the operations that nobody saw could turn the answer"
)
MINIMUM = Parameter(
    "minimum-operations", Type.INTEGER, "Below this many operations in the window nothing is concluded.", 30, minimum=1
)

OBJECTIVES: Mapping[str, ObjectiveKind] = _objectives(
    ObjectiveKind(
        name="availability",
        summary="Share of operations that got what they asked for (200 to 399), over the whole fault window.",
        broken="the share is below `ratio`",
        unknown=THIN,
        parameters=(
            Parameter("ratio", Type.RATIO, "The least share of good operations.", required=True),
            MINIMUM,
        ),
    ),
    ObjectiveKind(
        name="latency",
        summary="Quantiles of the time from intended send to end, over all operations of the window, failed ones too.",
        broken="a quantile is above its limit",
        unknown=THIN,
        parameters=(
            Parameter("p50", Type.DURATION, "Limit of the median."),
            Parameter("p95", Type.DURATION, "Limit of the 95th percentile."),
            Parameter("p99", Type.DURATION, "Limit of the 99th percentile."),
            MINIMUM,
        ),
        one_of=("p50", "p95", "p99"),
    ),
    ObjectiveKind(
        name="recovery",
        summary="Time from the last undo (of an instantaneous fault: from its injection) until the system is steady"
        " again: every operation good, and every workload with the ready pods it had, as far as it still wants them.",
        broken="it was not steady within the limit",
        unknown="the run ended before the limit, the load had gaps, or readiness was not seen or out of sight past it",
        parameters=(
            Parameter("within", Type.DURATION, "The longest time.", required=True, minimum=0.1),
            Parameter("steady", Type.DURATION, "How long it must stay good to be steady.", default=1.0, minimum=0.5),
        ),
        needs_load=False,
    ),
    ObjectiveKind(
        name="disruption-budget",
        summary="Each eviction's answer agrees with the budget: granted while healthy pods exceed the desired number,"
        " refused with 429 otherwise; evictions never take healthy pods below it.",
        broken="an eviction was granted that neither the budget nor the API's own rules allow, refused that it allows,"
        " or evictions took healthy pods below the minimum",
        unknown="no eviction was answered by a budget, the budget or the promised ready pods could not be read, or two"
        " budgets claim one pod (500)",
        parameters=(
            Parameter("name", Type.TEXT, "The PodDisruptionBudget.", required=True),
            Parameter("namespace", Type.TEXT, "Its namespace; left out it is the faults' own."),
            Parameter(
                "min-available", Type.INTEGER, "The promised least count of healthy pods, budget or none.", minimum=0
            ),
        ),
        needs_load=False,
    ),
    ObjectiveKind(
        name="retries",
        summary="Retries hide single failures without multiplying the load: attempts as the gateway counted them.",
        broken="attempts per operation exceed the limit, one operation took more tries than allowed,"
        " or fewer operations than promised were saved by a retry",
        unknown=THIN + "; or the gateway did not count attempts, or no operation was tried twice",
        parameters=(
            Parameter(
                "max-attempts", Type.NUMBER, "Most attempts per operation, on average over the window.", minimum=1
            ),
            Parameter("max-tries", Type.INTEGER, "Most tries of any one operation.", minimum=1),
            Parameter("saved", Type.RATIO, "Least share of operations with a failed first try that ended well."),
            Parameter(
                "min-retried",
                Type.INTEGER,
                "Retried operations needed to conclude anything; 0 promises calm.",
                default=1,
                minimum=0,
            ),
            MINIMUM,
        ),
        one_of=("max-attempts", "max-tries", "saved"),
    ),
    ObjectiveKind(
        name="breaker",
        summary="The callers' breaker towards one dependency opens when it fails, fails fast, and closes afterwards.",
        broken="it did not open in time although enough calls failed, kept calling while open, or closed too late",
        unknown="the callers' breakers were not sampled, silent for long or open before the fault, no call was made, or"
        " too few failed to trip them",
        parameters=(
            Parameter("dependency", Type.TEXT, "The dependency as the breaker names it.", required=True),
            Parameter("within", Type.DURATION, "Longest time from injection until a breaker is open.", default=10.0),
            Parameter(
                "threshold", Type.INTEGER, "Calls that must have failed to expect it open.", default=5, minimum=1
            ),
            Parameter(
                "opens", Type.BOOLEAN, "Whether it must open; false promises that it stays closed.", default=True
            ),
            Parameter("closes-within", Type.DURATION, "Longest time from healing until closed.", default=30.0),
            Parameter("closes", Type.BOOLEAN, "Whether it must be closed again by the end of the run.", default=True),
            Parameter(
                "fast-failures", Type.BOOLEAN, "Whether calls must have been rejected while open.", default=False
            ),
            Parameter(
                "max-upstream-attempts", Type.INTEGER, "Most attempts, per pod, that reach out while open.", minimum=0
            ),
        ),
    ),
    ObjectiveKind(
        name="burn-rate",
        summary="Speed at which an objective's error budget was spent, from Prometheus: error ratio / (1 - objective).",
        broken="the highest burn rate is above the limit",
        unknown="Prometheus gave no data, or none for part of the window",
        parameters=(
            Parameter(
                "objective", Type.RATIO, "The long-term ratio whose budget is spent.", required=True, maximum=0.999999
            ),
            Parameter(
                "max", Type.NUMBER, "Highest burn rate; 14.4 spends 2 % of 30 days in an hour.", default=14.4, minimum=0
            ),
        ),
    ),
)
