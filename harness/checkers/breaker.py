"""Judge the callers' circuit breakers towards one dependency: they open, fail fast, and close again.

States are sampled, so the moment a breaker opened lies between its last closed sample and its first open one; it is
late only when even the earliest of these moments is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.checkers import series
from harness.checkers.series import Points
from harness.model.history import History
from harness.model.units import seconds
from harness.model.verdict import Finding, State

OPEN = 2.0
NAMES = {0.0: "closed", 1.0: "half-open", 2.0: "open"}
ANSWERED = ("ok", "client-error")
# What happened at the end of the window is only seen by the scrape after it.
SCRAPE_SECONDS = 2.0
# Half of the calls failing is where the breaker's own ratio rule begins to apply.
FAILING = 0.5


@dataclass(frozen=True, slots=True)
class Caller:
    """One pod's breaker over the fault window: what it was asked for and what it did."""

    pod: str
    calls: float
    failed: float
    opened: tuple[float, float] | None
    attempts_while_open: float
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
        return Finding("breaker", State.UNKNOWN, f"no breaker towards {dependency} was sampled", target, **columns)
    broken, unknown = _judge(history, parameters, callers)
    detail = {caller.pod or dependency: _detail(caller, history.window[0]) for caller in callers}
    if broken:
        return Finding("breaker", State.BROKEN, "; ".join(broken), target, **columns, detail=detail)
    if unknown:
        return Finding("breaker", State.UNKNOWN, "; ".join(unknown), target, **columns, detail=detail)
    again = ", closed again" if parameters.get("closes", True) else ""
    summary = f"{_opened(callers)}{again}" if parameters.get("opens", True) else "stayed closed"
    return Finding("breaker", State.HELD, summary, target, **columns, detail=detail)


def _caller(history: History, dependency: str, pod: str, states: Points, window: tuple[float, float]) -> Caller | None:
    start, end = window
    inside = [(time, value) for time, value in states if start <= time <= end + SCRAPE_SECONDS]
    if not inside:
        return None
    calls = series.by_pod(history.samples, f"client_calls/{dependency}").get(pod, [])
    attempts = series.by_pod(history.samples, f"client_attempts/{dependency}").get(pod, [])
    answered = series.by_pod(history.samples, f"client_attempts/{dependency}", outcomes=ANSWERED).get(pod, [])
    made = series.increase(calls, start, end)
    # A call is answered at most once, so what was admitted and never answered has failed.
    failed = max(0.0, made - series.increase(answered, start, end))
    first = next((index for index, (_, value) in enumerate(inside) if value == OPEN), None)
    opened, tried = None, 0.0
    if first is not None:
        since = inside[first][0]
        opened = (inside[first - 1][0] if first else start, since)
        until = next((time for time, value in states if time > since and value == 0.0), end)
        tried = series.increase(attempts, since, min(until, end))
    return Caller(pod, made, failed, opened, tried, states[-1])


def _judge(history: History, parameters: Mapping[str, Any], callers: list[Caller]) -> tuple[list[str], list[str]]:
    assert history.window is not None
    start, end = history.window
    broken: list[str] = []
    unknown: list[str] = []
    opened = [caller for caller in callers if caller.opened]
    if not parameters.get("opens", True):
        return [f"{caller.pod} opened" for caller in opened], []
    within, threshold = float(parameters.get("within", 10.0)), float(parameters.get("threshold", 5))
    for caller in callers:
        pressed = caller.failed >= threshold and caller.failed > FAILING * caller.calls
        if caller.opened is None and pressed:
            broken.append(f"{caller.pod} never opened although {caller.failed:g} calls failed")
        elif caller.opened and caller.opened[0] - start > within:
            broken.append(f"{caller.pod} opened only {seconds(caller.opened[0] - start)} after the injection")
    if not opened and not broken:
        most = max(caller.failed for caller in callers)
        unknown.append(f"no breaker opened, but only {most:g} calls of one caller failed, fewer than {threshold:g}")
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
        _closing(opened, float(parameters.get("closes-within", 30.0)), end, broken, unknown)
    return broken, unknown


def _closing(opened: list[Caller], within: float, end: float, broken: list[str], unknown: list[str]) -> None:
    for caller in opened:
        time, value = caller.last
        if value != 0.0 and time - end > within:
            broken.append(f"{caller.pod} was still {NAMES.get(value, '?')} {seconds(time - end)} after the healing")
        elif value != 0.0:
            unknown.append(f"{caller.pod} was {NAMES.get(value, '?')} when the run ended")


def _target(parameters: Mapping[str, Any]) -> str:
    if not parameters.get("opens", True):
        return "stays closed"
    parts = [f"open within {seconds(float(parameters.get('within', 10.0)))}"]
    if parameters.get("max-upstream-attempts") is not None:
        parts.append(f"<= {parameters['max-upstream-attempts']} attempts")
    return ", ".join([*parts, "closes"] if parameters.get("closes", True) else parts)


def _opened(callers: list[Caller]) -> str:
    opened = sum(caller.opened is not None for caller in callers)
    return f"{opened} of {len(callers)} opened" if callers else "no data"


def _states(states: Mapping[str, Points], time: float) -> str:
    values = [value for points in states.values() if (value := series.at(points, time)) is not None]
    return NAMES.get(max(values), "?") if values else "no data"


def _detail(caller: Caller, start: float) -> Mapping[str, Any]:
    return {
        "calls": caller.calls,
        "failed": caller.failed,
        "opened_after": [time - start for time in caller.opened] if caller.opened else None,
        "attempts_while_open": caller.attempts_while_open,
        "last_state": NAMES.get(caller.last[1], "?"),
    }
