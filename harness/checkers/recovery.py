"""Judge how long the system took until it was steady again."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.checkers import census, machine, starvation
from harness.checkers.kind import ObjectiveKind
from harness.model.disturbance import Disturbance
from harness.model.history import FaultRecord, History, Sample
from harness.model.parameter import Parameter, Type
from harness.model.units import seconds
from harness.model.verdict import Finding, State

STEADY = 1.0
# What is there and what is wanted come by two watches: which of them is a moment earlier says nothing.
ORDER_SECONDS = 1.0
Span = tuple[float, float]


@dataclass(slots=True)
class Readiness:
    """When a workload was short of ready pods after the faults, and when nobody could see it."""

    short: list[Span] = field(default_factory=list)
    unseen: list[Span] = field(default_factory=list)


def check(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Measure from the last undo to the last moment at which something failed or was missing.

    The last one counts, not the first pause between two: what fails again was not steady. What came before the last
    undo must have been steady within the limit, too, each time that no fault held anything down.
    """
    within, steady = float(parameters["within"]), float(parameters.get("steady", STEADY))
    target = f"<= {seconds(within)}"
    begin = last_undo(history.faults)
    if begin is None:
        return Finding("recovery", State.UNKNOWN, "no fault was injected", target)
    found = _at_last(history, begin, within, steady, target)
    for earlier in _earlier(history, within, target):
        if found.state is State.HELD or (found.state is State.UNKNOWN and earlier.state is State.BROKEN):
            found = earlier
    return found


def _at_last(history: History, begin: float, within: float, steady: float, target: str) -> Finding:
    ready = _readiness(history, begin)
    every = [operation for operation in history.operations if operation.punctual]
    operations = [operation for operation in every if operation.finished >= begin]
    start = history.window[0] if history.window else begin
    unserved = census.unserved([operation for operation in every if operation.finished < start])
    if not operations and (history.load_rate or ready is None):
        unserved = f"{'no operation' if history.load_rate else 'neither load nor readiness'} was seen after the fault"
    if unserved:
        return Finding("recovery", State.UNKNOWN, unserved, target, recovery="no data")
    short, unseen = (ready.short, ready.unseen) if ready else ([], [])
    failures = [operation.intended for operation in every if not operation.ok]
    bad = [time for time in failures if time >= begin]
    # Without load only readiness tells, and it is watched to the end of the run.
    end = max((operation.intended for operation in operations), default=history.end)
    last = max([begin, *bad, *(until for _, until in short)])
    blind = census.gaps((operation.intended for operation in operations), (begin, end), census.slot(history.load_rate))
    # Traffic that was good throughout is steady from the start; readiness is a state, it needs no stretch of time.
    since = max(failures, default=history.start)
    seen_steady = (not operations or end - since >= steady) and all(until < history.end for _, until in short)
    detail = {"from": begin, "failed": len(bad), "last_bad": last, "unseen": len(blind), "steady": seen_steady}
    # What nobody saw may have been short all the time; it breaks nothing as long as it ended within the limit.
    worst = max([last, *(until for _, until in unseen)])
    took = seconds(worst - begin) if seen_steady else f"> {seconds(last - begin)}"
    if last - begin > within:
        told = seconds(last - begin, beside=within)
        summary = f"{_blame(bad, short, begin + within)}, last {told} after the fault"
        # A second that others took may have cost the system as much, and no more.
        if last - begin - starvation.seconds_taken(history, (begin, last)) > within:
            return Finding("recovery", State.BROKEN, summary, target, recovery=took, detail=detail)
        summary += f", but {machine.told(history, (begin, last))}: nobody knows why"
        return Finding("recovery", State.UNKNOWN, summary, target, recovery=took, detail=detail)
    why = ""
    if blind:
        why = "the load had gaps after the fault"
    elif not seen_steady:
        why = "the run ended before it was steady"
    elif ready is None:
        why = "readiness was not seen"
    elif worst - begin > within or any(until >= history.end for _, until in unseen):
        why = f"readiness was out of sight up to {seconds(worst - begin, beside=within)} after the fault"
    if why:
        shown = took if not seen_steady and not blind else "no data"
        return Finding("recovery", State.UNKNOWN, why, target, recovery=shown, detail=detail)
    return Finding("recovery", State.HELD, f"steady after {took}", target, recovery=took, detail=detail)


def _earlier(history: History, within: float, target: str) -> Iterator[Finding]:
    """Judge each rest between two faults that is longer than the limit; one that was steady in time yields nothing."""
    rests = [(fault, rest) for fault, rest in _rests(history.faults) if rest[1] - rest[0] > within]
    every = [operation for operation in history.operations if operation.punctual] if rests else []
    start = history.window[0] if history.window else history.start
    if census.unserved([operation for operation in every if operation.finished < start]):
        every = []
    failed = [operation for operation in every if not operation.ok]
    due = sorted(operation.intended for operation in every)
    ready = (_readiness(history, rests[0][1][0]) if rests else None) or Readiness()
    for fault, (begin, until) in rests:
        which, limit = f"{fault.kind} on {fault.victim}", begin + within
        # One that was in flight at the next injection may have failed for that.
        bad = [one.intended for one in failed if begin <= one.intended and one.finished < until]
        short = _clipped(ready.short, (begin, until))
        last = max([begin, *bad, *(end for _, end in short)])
        took, told = last - begin, seconds(last - begin, beside=within)
        detail = {"from": begin, "until": until, "failed": len(bad), "last_bad": last, "unseen": 0, "steady": True}
        if took > within:
            summary, state = f"{_blame(bad, short, limit)}, last {told} after {which}", State.BROKEN
            if took - starvation.seconds_taken(history, (begin, last)) <= within:
                state = State.UNKNOWN
                summary += f", but {machine.told(history, (begin, last))}: nobody knows why"
            yield Finding("recovery", state, summary, target, recovery=seconds(took), detail=detail)
            continue
        seen = due[bisect_left(due, limit) : bisect_left(due, until)]
        why = "the load had gaps" if every and census.gaps(seen, (limit, until), census.slot(history.load_rate)) else ""
        if not why and _clipped(ready.unseen, (limit, until)):
            why = f"readiness was out of sight beyond {seconds(within)}"
        if why:
            yield Finding("recovery", State.UNKNOWN, f"{why} after {which}", target, recovery="no data", detail=detail)


def _rests(faults: Iterable[FaultRecord]) -> list[tuple[FaultRecord, Span]]:
    """Find when no fault held anything down, from the end of one to the injection of the next one."""
    over = [(end, fault) for fault in faults if (end := _released(fault)) is not None]
    holds = [(fault.injected or 0.0, math.inf if _stays(fault) else end) for end, fault in over]
    found = []
    for end, fault in sorted(over, key=lambda one: one[0]):
        following = [injected for injected, _ in holds if injected > end]
        if following and not any(injected <= end < until for injected, until in holds):
            found.append((fault, (end, min(following))))
    return found


def _stays(fault: FaultRecord) -> bool:
    """Say whether a fault was never undone: it holds something down to the end of the run."""
    return not fault.instant and fault.undone is None and fault.healed is None


def _clipped(spans: Iterable[Span], rest: Span) -> list[Span]:
    begin, until = rest
    return [(max(since, begin), min(end, until)) for since, end in spans if since < until and end > begin]


def last_undo(faults: Iterable[FaultRecord]) -> float | None:
    """Return the time the clock starts: the last moment at which a fault still held something down."""
    times = [_released(fault) for fault in faults]
    return max((time for time in times if time is not None), default=None)


def _released(fault: FaultRecord) -> float | None:
    if fault.injected is None:
        return None
    if fault.instant and fault.applied is not None:
        return fault.applied
    return next(
        (time for time in (fault.undone, fault.healed, fault.applied, fault.injected) if time is not None), None
    )


def _readiness(history: History, begin: float) -> Readiness | None:
    """Find when a workload had fewer ready pods than it had before the faults, and still wants; None: not seen.

    `workloads/<namespace>` says that a namespace could be looked at at all: one without any workload is complete.
    """
    start = history.window[0] if history.window else begin
    series: dict[str, list[Sample]] = {}
    for sample in history.samples:
        if sample.series.startswith(("ready/", "workloads/")):
            series.setdefault(sample.series, []).append(sample)
    if not any(sample.value is not None for samples in series.values() for sample in samples):
        return None
    for samples in series.values():
        samples.sort(key=lambda sample: sample.time)
    found = Readiness()
    for name, samples in series.items():
        in_sight = _last(series.get(f"workloads/{name.split('/')[1]}", ()), start) is not None
        ours = _asked(history.faults, name.removeprefix("ready/"))
        owed = _owed(samples, start, ours, in_sight=in_sight) if name.startswith("ready/") else [0.0] * len(samples)
        before = _last(samples, start)
        spec = before.labels.get("spec") if before else None
        for sample, enough, following in zip(samples, owed, [*samples[1:], None], strict=True):
            until = following.time if following else history.end
            if until <= begin or (sample.value is not None and sample.value >= enough):
                continue
            # Something else was asked of a workload that does not say how many it wants: it may want less.
            unknown = sample.value is None or (spec is not None and sample.labels.get("spec", spec) != spec)
            (found.unseen if unknown else found.short).append((max(sample.time, begin), until))
    return found


def _asked(faults: Iterable[FaultRecord], workload: str) -> list[Span]:
    """Find when a fault itself may have asked a workload for less."""
    return [
        (fault.injected, (math.inf if fault.undone is None else fault.undone) + ORDER_SECONDS)
        for fault in faults
        if fault.workload == workload and fault.injected is not None
    ]


def _owed(samples: Sequence[Sample], start: float, ours: Sequence[Span], *, in_sight: bool) -> list[float]:
    """Give, for each sample of a workload, how many ready pods the faults may not have cost it for good.

    That is what it had when the first fault came, or less once it wants less: what is wanted later was never lost.
    In the spans that are `ours` it is a fault that wants less, which is no wish of the workload's. Where it does not
    say what it wants, what it had is all that is known. A workload that was not there had nothing.
    """
    samples = [_unasked(sample, ours) for sample in samples]
    before = _last(samples, start)
    enough = 0.0 if before is None and in_sight else math.inf
    if before is not None:
        enough = min(before.value or 0.0, _wanted(before))
    owed = []
    for number, sample in enumerate(samples):
        if sample.time >= start:
            enough = min(enough, _wanted(sample))
        near = min(enough, _soon_wanted(samples, number))
        owed.append(0.0 if math.isinf(near) else near)
    return owed


def _unasked(sample: Sample, ours: Sequence[Span]) -> Sample:
    if not any(begin <= sample.time <= end for begin, end in ours):
        return sample
    labels = {name: value for name, value in sample.labels.items() if name != "desired"}
    return replace(sample, labels=labels)


def _soon_wanted(samples: Sequence[Sample], number: int) -> float:
    least, until = math.inf, samples[number].time + ORDER_SECONDS
    while (number := number + 1) < len(samples) and samples[number].time <= until:
        least = min(least, _wanted(samples[number]))
    return least


def _last(samples: Sequence[Sample], start: float) -> Sample | None:
    return next((one for one in reversed(samples) if one.time < start and one.value is not None), None)


def _wanted(sample: Sample) -> float:
    return float(sample.labels.get("desired", math.inf))


def _blame(bad: list[float], short: list[Span], limit: float) -> str:
    failed = sum(time > limit for time in bad)
    causes = [f"{failed} operations failed"] if failed else []
    if any(until > limit for _, until in short):
        causes.append("ready pods were missing")
    return f"after the limit {' and '.join(causes)}"


OBJECTIVE = ObjectiveKind(
    name="recovery",
    place=30,
    summary="Time from the last undo (of an instantaneous fault: from its injection) until the system is steady"
    " again: every operation good, and every workload with the ready pods it had, as far as it still wants them. The"
    " same is asked of an earlier one where no other fault is there for as long as the limit.",
    broken="it was not steady within the limit",
    unknown="the run ended before the limit, the load had gaps, or readiness was not seen or out of sight past it",
    parameters=(
        Parameter("within", Type.DURATION, "The longest time.", required=True, minimum=0.1),
        Parameter("steady", Type.DURATION, "How long it must stay good to be steady.", default=1.0, minimum=0.5),
    ),
    needs_load=False,
    exercised_by=frozenset(
        {Disturbance.SERVING, Disturbance.CAPACITY, Disturbance.NETWORK, Disturbance.DATA, Disturbance.CONTROL_PLANE}
    ),
    check=check,
)
