"""Judge the callers' circuit breakers towards one dependency: they open, fail fast, and close again.

States are sampled, so the moment a breaker opened lies between its last closed sample and its first open one; it is
late only when even the earliest of these moments is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.checkers import conforming, series, starvation
from harness.checkers.conforming import Conformity
from harness.checkers.kind import Missed, ObjectiveKind
from harness.checkers.series import LONGEST_SILENCE, Points
from harness.model.disturbance import Disturbance
from harness.model.fault import FaultSpec
from harness.model.history import History
from harness.model.parameter import Parameter, Type
from harness.model.units import seconds
from harness.model.verdict import Finding, State

OPEN = 2.0
NAMES = {0.0: "closed", 1.0: "half-open", 2.0: "open"}
# Who refuses for want of room is alive.
ANSWERED = ("ok", "client-error", "overloaded")
# What happened at the end of the window is only seen by the scrape after it.
SCRAPE_SECONDS = 2.0
# Half of the calls failing is where the breaker's own ratio rule begins to apply.
FAILING = 0.5


@dataclass(frozen=True, slots=True)
class Caller:
    """One pod's breaker over the fault window: what it was asked for and what it did.

    `opened` lies between two samples, `was_closed` says whether the first of them was closed; `not_closed` is the last
    sample after the window that was not.
    """

    pod: str
    calls: float
    failed: float
    silence: float
    opened: tuple[float, float] | None
    was_closed: bool
    attempts_while_open: float
    not_closed: tuple[float, float] | None
    last: tuple[float, float]


def check(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Compare each caller's breaker with the promise; unsampled breakers and too few failures are unknown."""
    dependency = str(parameters["dependency"])
    target = _target(parameters)
    states = series.by_pod(history.samples, f"breaker/{dependency}")
    if history.window is None:
        return Finding("breaker", State.UNKNOWN, "no fault was injected, so there is no window to judge", target)
    found = [_caller(history, dependency, pod, points, history.window) for pod, points in sorted(states.items())]
    callers = [caller for caller in found if caller is not None]
    columns: dict[str, Any] = {
        "baseline": _states(states, history.window[0]),
        "in_fault": _opened(callers),
        "recovery": _states(states, history.end),
    }
    if not callers:
        why = f"no breaker towards {dependency} was sampled{series.trouble(history.samples)}"
        return Finding("breaker", State.UNKNOWN, why, target, **columns)
    start, end = history.window
    unsampled = series.silence((time for points in states.values() for time, _ in points), start, end)
    broken, timed, unknown = _judge(history, parameters, callers)
    told = conforming.breakers(history, dependency) if parameters.get("conforms") else Conformity()
    broken, timed, unknown = [*broken, *told.broken], [*timed, *told.timed], [*unknown, *told.unknown]
    if unsampled > LONGEST_SILENCE:
        unknown = [f"no breaker was sampled for {seconds(unsampled)} of the window"]
    detail = {caller.pod or dependency: _detail(caller, history.window[0]) for caller in callers}
    detail |= told.detail
    if broken or timed:
        said = Finding("breaker", State.BROKEN, "; ".join([*broken, *timed]), target, **columns, detail=detail)
        return said if broken else starvation.doubted(said, history, (start, history.end))
    if unknown:
        return Finding("breaker", State.UNKNOWN, "; ".join(unknown), target, **columns, detail=detail)
    again = ", closed again" if parameters.get("closes", True) else ""
    summary = f"{_opened(callers)}{again}" if parameters.get("opens", True) else "stayed closed"
    summary = ", ".join(filter(None, (summary, told.summary)))
    return Finding("breaker", State.HELD, summary, target, **columns, detail=detail)


def _caller(history: History, dependency: str, pod: str, states: Points, window: tuple[float, float]) -> Caller | None:
    start, end = window
    inside = [number for number, (time, _) in enumerate(states) if start <= time <= end + SCRAPE_SECONDS]
    if not inside:
        return None
    calls = series.by_pod(history.samples, f"client_calls/{dependency}").get(pod, [])
    attempts = series.by_pod(history.samples, f"client_attempts/{dependency}").get(pod, [])
    answered = series.by_pod(history.samples, f"client_attempts/{dependency}", outcomes=ANSWERED).get(pod, [])
    made = series.increase(calls, start, end)
    # A call is answered at most once, so what was admitted and never answered has failed.
    failed = max(0.0, made - series.increase(answered, start, end))
    first = next((number for number in inside if states[number][1] == OPEN), None)
    opened, was_closed, tried = None, False, 0.0
    if first is not None:
        since = states[first][0]
        opened = (max(start, states[first - 1][0]) if first else start, since)
        was_closed = first > 0 and states[first - 1][1] == 0.0
        # What a half-open breaker lets through is its probe: only between samples that were open nothing may pass.
        after = next((number for number in range(first, len(states)) if states[number][1] != OPEN), len(states))
        tried = series.increase(attempts, since, min(states[after - 1][0], end))
    not_closed = [(time, value) for time, value in states if time > end and value != 0.0]
    # A pod that came or went within the window is silent before and after, and hides nothing by it.
    lived = max(start, states[0][0]), min(end, states[-1][0])
    silence = series.silence((time for time, _ in states), *lived) if lived[0] < lived[1] else 0.0
    last_not_closed = not_closed[-1] if not_closed else None
    return Caller(pod, made, failed, silence, opened, was_closed, tried, last_not_closed, states[-1])


def _judge(
    history: History, parameters: Mapping[str, Any], callers: list[Caller]
) -> tuple[list[str], list[str], list[str]]:
    """Say what is broken whatever the machine did, what is broken about time, and what is unknown."""
    assert history.window is not None
    start, end = history.window
    opened = [caller for caller in callers if caller.opened]
    broken: list[str] = []
    timed: list[str] = []
    unknown = [f"{caller.pod} was not seen closed before it opened" for caller in opened if not caller.was_closed]
    unknown += [
        f"{caller.pod} was not sampled for {seconds(caller.silence)} of the window"
        for caller in callers
        if caller.silence > LONGEST_SILENCE and not caller.opened
    ]
    if not parameters.get("opens", True):
        timed = [f"{caller.pod} opened" for caller in opened if caller.was_closed]
        if not any(caller.calls for caller in callers):
            unknown.append(f"no call was made towards {parameters['dependency']}")
        return broken, timed, unknown
    within, threshold = float(parameters.get("within", 10.0)), float(parameters.get("threshold", 5))
    for caller in callers:
        pressed = caller.failed >= threshold and caller.failed >= FAILING * caller.calls
        if caller.opened is None and pressed and caller.silence <= LONGEST_SILENCE:
            broken.append(f"{caller.pod} never opened although {caller.failed:g} calls failed")
        elif caller.opened and caller.opened[0] - start > within:
            took = seconds(caller.opened[0] - start, beside=within)
            timed.append(f"{caller.pod} opened only {took} after the injection")
    if not opened and not broken:
        most = max(callers, key=lambda caller: caller.failed)
        told = f"of {most.calls:g} calls of one caller at most {most.failed:g} failed"
        unknown.append(f"no breaker had to open: {told}")
    limit = parameters.get("max-upstream-attempts")
    if limit is not None:
        broken += [
            f"{caller.pod} sent {caller.attempts_while_open:g} requests while open, more than {limit}"
            for caller in opened
            if caller.attempts_while_open > limit
        ]
    if parameters.get("fast-failures") and opened:
        fast = series.by_pod(history.samples, f"breaker_fast_failures/{parameters['dependency']}")
        if not fast:
            unknown.append("rejected calls were not counted")
        elif not any(series.increase(points, start, end) for points in fast.values()):
            broken.append("no call was rejected while the breaker was open")
    if parameters.get("closes", True):
        _closing(history, opened, float(parameters.get("closes-within", 30.0)), timed, unknown)
    return broken, timed, unknown


def _closing(history: History, opened: list[Caller], within: float, timed: list[str], unknown: list[str]) -> None:
    assert history.window is not None
    for caller in opened:
        since = caller.not_closed[0] - history.window[1] if caller.not_closed else 0.0
        time, value = caller.last
        if caller.not_closed and since > within:
            state = NAMES.get(caller.not_closed[1], "?")
            timed.append(f"{caller.pod} was still {state} {seconds(since, beside=within)} after the healing")
        elif value != 0.0 and history.end - time > LONGEST_SILENCE:
            unknown.append(f"{caller.pod} was last seen {NAMES.get(value, '?')}")
        elif value != 0.0:
            unknown.append(f"{caller.pod} was {NAMES.get(value, '?')} when the run ended")


def _target(parameters: Mapping[str, Any]) -> str:
    conforms = ["conforms"] if parameters.get("conforms") else []
    if not parameters.get("opens", True):
        return ", ".join(["stays closed", *conforms])
    parts = [f"open within {seconds(float(parameters.get('within', 10.0)))}"]
    if parameters.get("max-upstream-attempts") is not None:
        parts.append(f"<= {parameters['max-upstream-attempts']} attempts")
    return ", ".join([*parts, *(["closes"] if parameters.get("closes", True) else []), *conforms])


def _opened(callers: list[Caller]) -> str:
    opened = sum(caller.opened is not None for caller in callers)
    return f"{opened} of {len(callers)} opened" if callers else "no data"


def _states(states: Mapping[str, Points], time: float) -> str:
    found = [series.at(points, time, within=LONGEST_SILENCE) for points in states.values()]
    values = [value for value in found if value is not None]
    return NAMES.get(max(values), "?") if values else "no data"


def _detail(caller: Caller, start: float) -> Mapping[str, Any]:
    return {
        "calls": caller.calls,
        "failed": caller.failed,
        "opened_after": [time - start for time in caller.opened] if caller.opened else None,
        "attempts_while_open": caller.attempts_while_open,
        "last_state": NAMES.get(caller.last[1], "?"),
    }


def missed(parameters: Mapping[str, Any], faults: Sequence[tuple[FaultSpec, bool]]) -> Missed | None:
    """Say that no fault touches the dependency.

    Nodes and zones picked by label may carry anything; whether they carry the dependency shows as evidence in the run.
    """
    dependency = str(parameters.get("dependency", ""))
    for fault, abrupt in faults:
        target = fault.target
        anywhere = target.kind in ("node", "zone") and not target.hosting
        if abrupt and (anywhere or dependency in f"{target.selector},{target.hosting},{target.route}"):
            return None
    return Missed(
        "dependency",
        f"no fault touches the dependency '{dependency}'",
        "its callers' breaker has no reason to open",
        "aim {faults} at it",
    )


def open_at_all(parameters: Mapping[str, Any]) -> str:
    """Return the query for the worst state of any caller's breaker, empty where it need not be closed again."""
    return f'max(breaker_state{{dependency="{parameters["dependency"]}"}})' if parameters.get("closes", True) else ""


OBJECTIVE = ObjectiveKind(
    name="breaker",
    place=60,
    summary="The callers' breaker towards one dependency opens when it fails, fails fast, and closes afterwards.",
    broken="it did not open in time although enough calls failed, kept calling while open, or closed too late; or a"
    " recorded call proves that it does not conform to what it declares",
    unknown="the callers' breakers were not sampled, silent for long or open before the fault, no call was made, or"
    " too few failed to trip them; or calls that were to be recorded are lost, or who made them declares no rule",
    parameters=(
        Parameter("dependency", Type.TEXT, "The dependency as the breaker names it.", required=True),
        Parameter("within", Type.DURATION, "Longest time from injection until a breaker is open.", default=10.0),
        Parameter("threshold", Type.INTEGER, "Calls that must have failed to expect it open.", default=5, minimum=1),
        Parameter("opens", Type.BOOLEAN, "Whether it must open; false promises that it stays closed.", default=True),
        Parameter(
            "conforms",
            Type.BOOLEAN,
            "Whether every call that was recorded must conform to what the callers declare.",
            default=False,
        ),
        Parameter("closes-within", Type.DURATION, "Longest time from healing until closed.", default=30.0),
        Parameter("closes", Type.BOOLEAN, "Whether it must be closed again by the end of the run.", default=True),
        Parameter("fast-failures", Type.BOOLEAN, "Whether calls must have been rejected while open.", default=False),
        Parameter(
            "max-upstream-attempts", Type.INTEGER, "Most attempts, per pod, that reach out while open.", minimum=0
        ),
    ),
    exercised_by=frozenset({Disturbance.ABRUPT, Disturbance.NETWORK}),
    check=check,
    by_calls="conforms",
    missed=missed,
    steady_when_none="breaker_state > 0",
    steady_when_zero=open_at_all,
)
