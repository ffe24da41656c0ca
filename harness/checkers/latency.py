"""Judge the quantiles of the time that callers waited, over the whole fault window."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from harness.checkers import census, machine, starvation
from harness.checkers.census import MINIMUM, Census
from harness.checkers.kind import ObjectiveKind, Standard
from harness.model.disturbance import Disturbance
from harness.model.history import History, Operation
from harness.model.parameter import Parameter, Type
from harness.model.units import seconds
from harness.model.verdict import Finding, State

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def check(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Compare each promised quantile with its limit; a failed operation counts with the time its caller waited."""
    limits = {name: float(parameters[name]) for name in QUANTILES if parameters.get(name) is not None}
    target = ", ".join(f"{name} <= {seconds(limit)}" for name, limit in limits.items())
    minimum = int(parameters.get("minimum-operations", MINIMUM))
    counted = census.take(history)
    why = census.doubt(counted, minimum)
    if counted is None or not counted.inside:
        return Finding("latency", State.UNKNOWN, why or "no load was seen", target, in_fault="no data")
    ordered = sorted(operation.latency for operation in counted.inside)
    found = {name: census.quantile(ordered, q) for name, q in QUANTILES.items()}
    blamed = list(map(starvation.at_least(history), counted.inside))
    over = [
        name
        for name, limit in limits.items()
        if _certainly_above(blamed, limit, QUANTILES[name], expected=counted.expected)
    ]
    unsure = [name for name, limit in limits.items() if not _certainly_within(ordered, limit, QUANTILES[name], counted)]
    if unserved := census.unserved(counted.before):
        state, summary = State.UNKNOWN, unserved
    elif over and len(ordered) >= minimum:
        state = State.BROKEN
        summary = ", ".join(
            f"{name} {seconds(found[name], beside=limits[name])} above {seconds(limits[name])}" for name in over
        )
    elif why:
        state, summary = State.UNKNOWN, why
    elif unsure:
        state = State.UNKNOWN
        summary = f"{counted.unseen} operations were not seen: nobody knows whether {', '.join(unsure)} was kept"
        if sorted(blamed) != ordered:
            slow = ", ".join(f"{name} {seconds(found[name], beside=limits[name])}" for name in unsure)
            taken = machine.told(history, (counted.window[0], history.end))
            summary = f"{slow}, but {taken}: nobody knows whether {', '.join(unsure)} was kept"
    else:
        state, summary = State.HELD, f"slowest of {len(ordered)} took {seconds(ordered[-1])}"
    return Finding(
        "latency",
        state,
        summary,
        target,
        baseline=_shown(counted.baseline, limits),
        in_fault=_shown(counted.inside, limits),
        recovery=_shown(counted.after, limits),
        detail={
            "operations": len(ordered),
            "expected": counted.expected,
            "slowest": ordered[-1],
            "over": {name: limit for name, limit in limits.items() if found[name] > limit},
            **found,
        },
    )


def before(operations: Sequence[Operation], parameters: Mapping[str, Any]) -> str:
    """Say that a promised quantile, with a margin, was exceeded before any fault; empty when none was."""
    ordered = sorted(operation.latency for operation in operations)
    limits = {name: float(parameters[name]) for name in QUANTILES if parameters.get(name) is not None}
    found = {name: census.quantile(ordered, QUANTILES[name]) for name in limits}
    over = [name for name, limit in limits.items() if found[name] > census.MARGIN * limit]
    return ", ".join(f"{name} was {seconds(found[name])}, the promise is {seconds(limits[name])}" for name in over)


def _certainly_above(ordered: Sequence[float], limit: float, q: float, *, expected: int) -> bool:
    """Say whether the quantile is above its limit even if all operations that are missing had been fast."""
    above = sum(value > limit for value in ordered)
    return above > expected - census.rank(expected, q)


def _certainly_within(ordered: Sequence[float], limit: float, q: float, counted: Census) -> bool:
    """Say whether the quantile is within its limit even if all operations that nobody knows of had been slow."""
    return sum(value <= limit for value in ordered) >= census.rank(len(ordered) + counted.unseen, q)


def _shown(operations: Sequence[Operation], limits: Mapping[str, float]) -> str:
    if not operations:
        return "no data"
    ordered = sorted(operation.latency for operation in operations)
    return ", ".join(seconds(census.quantile(ordered, QUANTILES[name])) for name in limits)


OBJECTIVE = ObjectiveKind(
    name="latency",
    place=20,
    summary="Quantiles of the time from intended send to end, over all operations of the window, failed ones too.",
    broken="a quantile is above its limit",
    unknown=census.THIN,
    parameters=(
        Parameter("p50", Type.DURATION, "Limit of the median."),
        Parameter("p95", Type.DURATION, "Limit of the 95th percentile."),
        Parameter("p99", Type.DURATION, "Limit of the 99th percentile."),
        census.LEAST,
    ),
    one_of=("p50", "p95", "p99"),
    exercised_by=frozenset({Disturbance.SERVING, Disturbance.CAPACITY, Disturbance.NETWORK, Disturbance.DATA}),
    check=check,
    before=before,
    standard=Standard(weaker=operator.gt, shown=seconds),
)
