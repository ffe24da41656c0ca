"""Judge the share of operations that were served, over the whole fault window."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from harness.checkers import census, machine, starvation
from harness.checkers.census import MINIMUM
from harness.checkers.kind import ObjectiveKind, Standard
from harness.model.disturbance import Disturbance
from harness.model.history import History, Operation
from harness.model.parameter import Parameter, Type
from harness.model.units import percent, seconds
from harness.model.verdict import Finding, State


def check(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Compare the share of good operations in the window with `ratio`.

    Broken means that the promise failed even if every operation that is missing, and every one that a starved machine
    can have made fail, had been good; held that it was kept even if every one that nobody knows of had failed. A ratio
    of 0 lifts the stack's own promise and makes none: it cannot be broken, so it is noted and never counts as kept.
    """
    ratio = float(parameters["ratio"])
    target = f">= {percent(ratio)}"
    counted = census.take(history)
    why = census.doubt(counted, int(parameters.get("minimum-operations", MINIMUM)))
    if counted is None or not counted.inside:
        return Finding("availability", State.UNKNOWN, why or "no load was seen", target, in_fault="no data")
    seen, bad = len(counted.inside), sum(not operation.ok for operation in counted.inside)
    worst, at = worst_second(counted.inside, counted.window[0])
    enough = seen >= int(parameters.get("minimum-operations", MINIMUM))
    detail = {
        "operations": seen,
        "expected": counted.expected,
        "bad": bad,
        "ratio": 1 - bad / seen,
        "worst_second": worst,
        "worst_second_at": at,
        "budget_spent": bad / ((1 - ratio) * seen) if ratio < 1 else None,
    }
    # The tolerance is of binary fractions (0.005 * 1000 is 5.000000000000004), not of the promise.
    excused = sum(map(starvation.excuse(history), (one for one in counted.inside if not one.ok)))
    beyond, unseen = bad - excused > (1 - ratio) * counted.expected + 1e-6, counted.unseen
    if not ratio:
        target, state, summary = "none", State.NOTED, f"{bad} of {seen} failed: nothing was promised"
    elif unserved := census.unserved(counted.before):
        state, summary = State.UNKNOWN, unserved
    elif enough and beyond:
        when = seconds(max(at, 0.0))
        state, summary = State.BROKEN, f"{bad} of {seen} failed; worst second {percent(worst)}, {when} after injection"
    elif why:
        state, summary = State.UNKNOWN, why
    elif bad + unseen > (1 - ratio) * (seen + unseen) + 1e-6:
        told = f"{bad} of {seen} failed" + (f" and {unseen} were not seen" if unseen else "")
        if excused:
            told += f", {excused} for want of time: {machine.told(history, (counted.window[0], history.end))}"
        state, summary = State.UNKNOWN, f"{told}: nobody knows whether the promise was kept"
    else:
        state, summary = State.HELD, f"{bad} of {seen} failed" if bad else f"all {seen} served"
    return Finding(
        "availability",
        state,
        summary,
        target,
        baseline=_shown(counted.baseline),
        in_fault=percent(1 - bad / seen),
        recovery=_shown(counted.after),
        detail=detail,
    )


def before(operations: Sequence[Operation], parameters: Mapping[str, Any]) -> str:
    """Say that the promise, with a margin, was not kept before any fault; empty when it was."""
    ratio, bad = float(parameters["ratio"]), sum(not operation.ok for operation in operations)
    if bad <= census.MARGIN * (1 - ratio) * len(operations) + 1e-6:
        return ""
    return f"{bad} of {len(operations)} operations failed, the promise is {percent(ratio)}"


def worst_second(operations: Sequence[Operation], start: float) -> tuple[float, float]:
    """Return the lowest share of good operations of any second, and when that second began, counted from `start`."""
    slots: dict[int, list[int]] = {}
    for operation in operations:
        slot = slots.setdefault(int((operation.intended - start) // 1), [0, 0])
        slot[0] += operation.ok
        slot[1] += 1
    ratios = {number: good / seen for number, (good, seen) in slots.items()}
    worst = min(ratios, key=lambda number: (ratios[number], number))
    return ratios[worst], float(worst)


def _shown(operations: Sequence[Operation]) -> str:
    ratio = census.share(operations)
    return "no data" if ratio is None else percent(ratio)


OBJECTIVE = ObjectiveKind(
    name="availability",
    place=10,
    summary="Share of operations that got what they asked for (200 to 399), over the whole fault window.",
    broken="the share is below `ratio`",
    unknown=census.THIN,
    parameters=(
        Parameter("ratio", Type.RATIO, "The least share of good operations; 0% promises nothing.", required=True),
        census.LEAST,
    ),
    exercised_by=frozenset({Disturbance.SERVING, Disturbance.CAPACITY, Disturbance.NETWORK, Disturbance.DATA}),
    check=check,
    before=before,
    standard=Standard(weaker=operator.lt, shown=percent),
)
