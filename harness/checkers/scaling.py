"""Judge what an autoscaler did: whether enough pods came in time, and whether none went while it was blind.

What is wanted is read from its workload, which it or anybody else scales, and whether it could see from its own status.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.checkers import machine, starvation
from harness.checkers.kind import Missed, ObjectiveKind
from harness.checkers.recovery import last_undo
from harness.model.disturbance import Disturbance
from harness.model.fault import FaultSpec
from harness.model.history import History, Sample
from harness.model.parameter import Parameter, Type
from harness.model.units import seconds
from harness.model.verdict import Finding, State

REACHES, HELD = "reaches", "held"
ORDER = (State.BROKEN, State.UNKNOWN, State.HELD)


@dataclass(frozen=True, slots=True)
class Course:
    """What was seen of an autoscaler and of its workload; the faults were there from `start` until `undone`.

    `ready` and `wanted` are pods of the workload, None while they were out of sight; `told` is the autoscaler's own.
    """

    told: Sequence[Sample]
    ready: Sequence[tuple[float, float | None]]
    wanted: Sequence[tuple[float, float | None]]
    start: float
    undone: float
    end: float


@dataclass(frozen=True, slots=True)
class Said:
    """What came of one promise, and in words."""

    state: State
    summary: str


def check(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Hold what the autoscaler's workload wanted and had against each promise; the worst of them counts.

    Times count as those of a recovery do, from the last undo. More than it may want is broken whatever is promised.
    """
    target = _target(parameters)
    course = _course(history, parameters)
    if isinstance(course, str):
        return Finding("scaling", State.UNKNOWN, course, target, in_fault="no data")
    said = [*_beyond(course), *_promises(history, course, parameters)]
    worst = min((one.state for one in said), key=ORDER.index)
    return Finding(
        "scaling",
        worst,
        "; ".join(one.summary for one in said if one.state is worst),
        target,
        baseline=_column(course, float("-inf"), course.start),
        in_fault=_column(course, course.start, course.undone),
        recovery=_column(course, course.undone, course.end),
        detail={
            "blind": sum(until - since for since, until in _blind(course.told, course.start, course.end)),
            "wanted": max((value for _, value in course.wanted if value is not None), default=None),
            "measured": [one.labels["measured"] for one in course.told if "measured" in one.labels][-1:],
        },
    )


def _target(parameters: Mapping[str, Any]) -> str:
    words = []
    if REACHES in parameters:
        words.append(f">= {parameters[REACHES]} ready within {seconds(float(parameters['within']))}")
    if parameters.get(HELD):
        words.append("none goes while it is blind")
    return ", ".join(words)


def _course(history: History, parameters: Mapping[str, Any]) -> Course | str:
    """Find the autoscaler and its workload among what was seen; say what lacks where they are not there."""
    name, undone = str(parameters["name"]), last_undo(history.faults)
    if history.window is None or undone is None:
        return "no fault was injected"
    start = history.window[0]
    every: dict[str, list[Sample]] = {}
    for sample in sorted(history.samples, key=lambda one: one.time):
        every.setdefault(sample.series, []).append(sample)
    autoscalers = [series.split("/") for series in every if series.startswith("autoscaler/")]
    inside = [one[1] for one in autoscalers if one[2] == name and one[1] == parameters.get("namespace", one[1])]
    if len(inside) > 1:
        return f"there is an autoscaler {name} in each of {', '.join(sorted(inside))}: `namespace` says which is meant"
    told = every[f"autoscaler/{inside[0]}/{name}"] if inside else []
    before = [one for one in told if one.time <= start and one.value is not None]
    if not before:
        return f"no HorizontalPodAutoscaler {name} was seen before the faults: is there one, and may it be watched?"
    workload = f"{inside[0]}/{before[-1].labels['target']}"
    pods = every.get(f"ready/{workload}", [])
    if not any(one.time <= start and "desired" in one.labels for one in pods):
        return f"of {workload}, which {name} scales, nothing was seen before the faults"
    return Course(
        told,
        [(one.time, one.value) for one in pods],
        [(one.time, float(one.labels["desired"]) if "desired" in one.labels else None) for one in pods],
        start,
        undone,
        history.end,
    )


def _beyond(course: Course) -> Iterator[Said]:
    """Find more pods wanted than the autoscaler may want."""
    for time, wanted in course.wanted:
        known = [one for one in course.told if one.time <= time and "most" in one.labels]
        if time >= course.start and wanted is not None and known and wanted > (most := int(known[-1].labels["most"])):
            yield Said(State.BROKEN, f"{wanted:g} were wanted where {most} are the most")
            return


def _promises(history: History, course: Course, parameters: Mapping[str, Any]) -> Iterator[Said]:
    if REACHES in parameters:
        yield _reached(history, course, int(parameters[REACHES]), float(parameters["within"]))
    if parameters.get(HELD):
        yield _held(course)


def _reached(history: History, course: Course, least: int, within: float) -> Said:
    """Say whether there were so many ready pods in time after the last undo, or before it."""
    if (before := _last(course.ready, course.start) or 0) >= least:
        return Said(State.UNKNOWN, f"{before:g} were ready before any fault: nobody had to come")
    after = [(time, value) for time, value in course.ready if time >= course.start]
    at = next((time for time, value in after if value is not None and value >= least), None)
    until = course.end if at is None else at
    took = max(0.0, until - course.undone)
    if at is not None and took <= within:
        return Said(State.HELD, f"{least} ready {seconds(at - course.start)} after the first injection")
    most = max((value for _, value in after if value is not None), default=before)
    why = _why(course, course.undone + within)
    found = f"{most:g} of {least} were ready at the most, {seconds(took)} after the last undo{why}"
    if at is None and took <= within:
        return Said(State.UNKNOWN, f"{found}, when the run ended")
    if at is not None:
        found = f"{least} were ready after {seconds(took, beside=within)}"
    if any(value is None for time, value in after if time <= until):
        return Said(State.UNKNOWN, f"{found}, but its pods were out of sight meanwhile")
    if took - starvation.seconds_taken(history, (course.undone, until)) <= within:
        return Said(State.UNKNOWN, f"{found}, but {machine.told(history, (course.undone, until))}: nobody knows why")
    return Said(State.BROKEN, found)


def _why(course: Course, until: float) -> str:
    """Say what the autoscaler itself said of what kept it, when its time was over."""
    last = next((one.labels for one in reversed(course.told) if one.time <= until and one.value is not None), {})
    return f": {why}" if (why := last.get("message") or last.get("limited")) else ""


def _held(course: Course) -> Said:
    """Say whether fewer were wanted while the faults were there, and whether the autoscaler was blind for a time."""
    before = _last(course.wanted, course.start)
    since = [(time, wanted) for time, wanted in course.wanted if course.start < time <= course.undone]
    for time, wanted in since:
        if wanted is not None and before is not None and wanted < before:
            after = seconds(time - course.start)
            return Said(State.BROKEN, f"{wanted:g} were wanted {after} after the injection, and {before:g} before it")
    if any(wanted is None for _, wanted in since):
        return Said(State.UNKNOWN, "how many were wanted was out of sight")
    if not (spans := _blind(course.told, course.start, course.undone)):
        return Said(State.UNKNOWN, "it could see all the while: nothing had to be held")
    blind = sum(until - since for since, until in spans)
    return Said(State.HELD, f"{before:g} were wanted all the {seconds(blind)} that it was blind")


def _blind(told: Sequence[Sample], start: float, end: float) -> list[tuple[float, float]]:
    """Find when the autoscaler said that it cannot see, within a span; it looks every so many seconds."""
    nexts = [*(one.time for one in told[1:]), end]
    spans = [
        (max(one.time, start), min(until, end))
        for one, until in zip(told, nexts, strict=True)
        if one.labels.get("blind")
    ]
    return [(since, until) for since, until in spans if since < until]


def _last(points: Iterable[tuple[float, Any]], time: float) -> Any:
    """Return the last value at or before a time that was not out of sight."""
    return next((value for when, value in reversed([*points]) if when <= time and value is not None), None)


def _column(course: Course, start: float, end: float) -> str:
    """Tell how many were wanted in a stretch of time, and at its end."""
    seen = [value for time, value in course.wanted if start < time <= end and value is not None]
    last = _last(course.wanted, end)
    if last is None:
        return "no data"
    return f"{last:g} wanted" + (f", up to {max(seen):g}" if seen and max(seen) > last else "")


def missed(parameters: Mapping[str, Any], _: Sequence[tuple[FaultSpec, bool]]) -> Missed | None:
    """Say that a number is promised without a time, a time without a number, or nothing at all."""
    if REACHES in parameters and "within" not in parameters:
        return Missed(REACHES, "it does not say in which time", hint="within: 60s")
    if "within" in parameters and REACHES not in parameters:
        return Missed("within", f"nothing is promised for that time: it goes with '{REACHES}'")
    return None if REACHES in parameters or parameters.get(HELD) else Missed(HELD, "nothing is promised", hint="true")


OBJECTIVE = ObjectiveKind(
    name="scaling",
    place=47,
    summary="An autoscaler brings enough pods in time, or lets none go while it cannot see; no more are wanted than it"
    " may want. The time counts as that of `recovery`.",
    broken="it took longer, fewer were wanted than before while the faults were there, or more than it may want",
    unknown="no such autoscaler was seen, as many were ready before any fault, it could see all the while, the run"
    " ended before the time was over, or the workload was out of sight",
    parameters=(
        Parameter("name", Type.TEXT, "The HorizontalPodAutoscaler.", required=True),
        Parameter("namespace", Type.TEXT, "Its namespace; left out it is any of the run's."),
        Parameter(REACHES, Type.INTEGER, "So many ready pods its workload comes to.", minimum=1),
        Parameter("within", Type.DURATION, "In which time, from the last undo."),
        Parameter(HELD, Type.BOOLEAN, "true: no fewer are wanted while it is blind for want of metrics."),
    ),
    needs_load=False,
    exercised_by=frozenset(
        {Disturbance.SERVING, Disturbance.CAPACITY, Disturbance.NETWORK, Disturbance.DATA, Disturbance.CONTROL_PLANE}
    ),
    check=check,
    missed=missed,
    one_of=(REACHES, HELD),
    rights=(
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["get", "list", "watch"]},
    ),
)
