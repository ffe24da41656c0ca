"""Judge retries: single failures stay hidden from callers, and no failure multiplies the load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.checkers import census, conforming, machine, starvation
from harness.checkers.census import MINIMUM
from harness.checkers.conforming import Conformity
from harness.checkers.kind import ObjectiveKind
from harness.model.disturbance import Disturbance
from harness.model.history import History, Operation
from harness.model.parameter import Parameter, Type
from harness.model.units import apart, percent
from harness.model.verdict import Finding, State

# What a gateway can answer when the replica it picked was gone: another try could have been served.
RETRIABLE = frozenset({502, 503, 504})
LIMITS = ("max-attempts", "max-tries", "saved")
# Of more operations than this the gateway must have counted the attempts.
SILENT_SHARE = 0.02


def check(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Judge what the gateway counted where a limit is stated, and what callers recorded where they are to conform."""
    said = _at_gateway(history, parameters)
    if not parameters.get("conforms"):
        return said
    if all(parameters.get(key) is None for key in LIMITS):
        # Nothing was promised of what the gateway counts: it is shown, and judged by nobody.
        said = replace(said, state=State.HELD, summary="")
    return _conforming(said, conforming.retries(history))


def _at_gateway(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Compare attempts per operation, most tries of one, and the share saved by a retry with their limits."""
    counted = census.take(history)
    minimum = int(parameters.get("minimum-operations", MINIMUM))
    why = census.doubt(counted, minimum)
    target = _target(parameters)
    if counted is None or not counted.inside:
        return Finding("retries", State.UNKNOWN, why or "no load was seen", target, in_fault="no data")
    operations = counted.inside
    retried, lost = _retried(operations), _lost(operations)
    saved = sum(operation.ok for operation in retried)
    needed = int(parameters.get("min-retried", 1))
    detail = {
        "operations": len(operations),
        "retried": len(retried),
        "saved": saved,
        "not_retried": len(lost),
        "attempts": _attempts(operations),
        "most": _most(operations),
    }
    broken, excused = _broken(operations, parameters), starvation.excuse(history)
    if unserved := census.unserved(counted.before) or _silence(operations):
        state, summary = State.UNKNOWN, unserved
    elif broken and len(operations) >= minimum:
        state, summary = State.BROKEN, "; ".join(broken)
        if not _broken([operation for operation in operations if not excused(operation)], parameters):
            taken = machine.told(history, (counted.window[0], history.end))
            state, summary = State.UNKNOWN, f"{summary}, but {taken}: nobody knows why"
    elif why:
        state, summary = State.UNKNOWN, why
    elif len(retried) < needed:
        state = State.UNKNOWN
        summary = f"{len(retried)} operations needed a retry, fewer than the {needed} that would show anything"
    else:
        state, summary = State.HELD, f"{saved} of {len(retried)} retried operations ended well"
    return Finding(
        "retries",
        state,
        summary,
        target,
        baseline=_shown(counted.baseline),
        in_fault=_shown(operations),
        recovery=_shown(counted.after),
        detail=detail,
    )


def _conforming(said: Finding, told: Conformity) -> Finding:
    """Add what recorded calls tell: what one proves is broken, whatever is unknown at the gateway."""
    said = replace(said, detail={**said.detail, **told.detail})
    if told.broken:
        others = [said.summary] if said.state is State.BROKEN else []
        return replace(said, state=State.BROKEN, summary="; ".join([*others, *told.broken]))
    if said.state is not State.HELD:
        return said
    if told.unknown:
        return replace(said, state=State.UNKNOWN, summary="; ".join(told.unknown))
    return replace(said, summary=", ".join(filter(None, (said.summary, told.summary))))


def before(operations: Sequence[Operation], parameters: Mapping[str, Any]) -> str:
    """Say that too many operations, with a margin, were tried again before any fault; empty when they were not."""
    limit, extra = parameters.get("max-attempts"), sum(max(0, operation.attempts - 1) for operation in operations)
    # One that was tried again is no rate yet.
    if limit is None or extra <= max(1, census.MARGIN * (limit - 1) * len(operations)):
        return ""
    return f"{_attempts(operations):.2f} attempts per operation, the promise is {limit:g}"


def _silence(operations: Sequence[Operation]) -> str:
    """Say that the gateway did not count the attempts of what it answered; empty when it did."""
    silent = sum(operation.status > 0 and operation.attempts < 1 for operation in operations)
    answered = sum(operation.status > 0 for operation in operations)
    if not answered:
        return "no operation was answered, so no attempt was counted"
    if silent <= SILENT_SHARE * answered:
        return ""
    return f"the gateway counted no attempts of {silent} of {answered} operations"


def _retried(operations: Sequence[Operation]) -> list[Operation]:
    return [operation for operation in operations if operation.attempts > 1]


def _lost(operations: Sequence[Operation]) -> list[Operation]:
    """List what no retry saved: of an operation without an answer nobody knows the attempts, and it needed one."""
    return [op for op in operations if not op.status or (op.attempts <= 1 and op.status in RETRIABLE)]


def _most(operations: Sequence[Operation]) -> int:
    return max((operation.attempts for operation in operations), default=0)


def _broken(operations: Sequence[Operation], parameters: Mapping[str, Any]) -> list[str]:
    found = []
    retried, lost = _retried(operations), _lost(operations)
    attempts, most, in_need = _attempts(operations), _most(operations), len(retried) + len(lost)
    saved = sum(operation.ok for operation in retried)
    limit, tries, share = (parameters.get(key) for key in LIMITS)
    if limit is not None and attempts > limit + 1e-9:
        found.append(f"{apart(attempts, limit, 2)} attempts per operation, more than {limit:g}")
    if tries is not None and most > tries:
        found.append(f"one operation took {most} tries, more than {tries}")
    if share is not None and in_need and saved < share * in_need - 1e-9:
        found.append(f"{saved} of {in_need} operations were saved by a retry, less than {percent(share)}")
    if len(retried) < int(parameters.get("min-retried", 1)) <= len(lost):
        found.append(f"{len(lost)} operations failed and no retry of them was seen")
    return found


def _target(parameters: Mapping[str, Any]) -> str:
    limits = {"max-attempts": "<= {} attempts", "max-tries": "<= {} tries", "saved": ">= {} saved"}
    shown = {**parameters, "saved": percent(parameters["saved"])} if "saved" in parameters else parameters
    parts = [text.format(shown[key]) for key, text in limits.items() if shown.get(key) is not None]
    return ", ".join([*parts, "conforms"] if parameters.get("conforms") else parts)


def _attempts(operations: Sequence[Operation]) -> float:
    """Return the attempts per operation, over those whose attempts were counted."""
    counted = [operation.attempts for operation in operations if operation.status and operation.attempts]
    return sum(counted) / len(counted) if counted else 0.0


def _shown(operations: Sequence[Operation]) -> str:
    attempts = _attempts(operations)
    return f"{attempts:.2f} attempts" if attempts else "no data"


OBJECTIVE = ObjectiveKind(
    name="retries",
    place=50,
    summary="Retries hide single failures without multiplying the load: attempts as the gateway counted them.",
    broken="attempts per operation exceed the limit, one operation took more tries than allowed,"
    " or fewer operations than promised were saved by a retry; or a recorded call between services was tried again"
    " as its caller declares not to",
    unknown=f"{census.THIN}; or the gateway did not count attempts, or no operation was tried twice; or calls that were"
    " to be recorded are lost, or who made them declares no rule",
    parameters=(
        Parameter("max-attempts", Type.NUMBER, "Most attempts per operation, on average over the window.", minimum=1),
        Parameter("max-tries", Type.INTEGER, "Most tries of any one operation.", minimum=1),
        Parameter("saved", Type.RATIO, "Least share of operations with a failed first try that ended well."),
        Parameter(
            "min-retried",
            Type.INTEGER,
            "Retried operations needed to conclude anything; 0 promises calm.",
            default=1,
            minimum=0,
        ),
        Parameter(
            "conforms",
            Type.BOOLEAN,
            "Whether every call between services that was recorded must be tried again only as its caller declares.",
            default=False,
        ),
        census.LEAST,
    ),
    one_of=(*LIMITS, "conforms"),
    exercised_by=frozenset({Disturbance.SERVING, Disturbance.NETWORK}),
    check=check,
    by_calls="conforms",
    before=before,
)
