"""Judge how long the system took until it was steady again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.checkers import census
from harness.model.catalogue import FAULTS
from harness.model.history import FaultRecord, History, Sample
from harness.model.units import seconds
from harness.model.verdict import Finding, State

STEADY = 1.0
Span = tuple[float, float]


def check(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Measure from the last undo to the last moment at which something failed or was missing.

    The last one counts, not the first pause between two: what fails again was not steady.
    """
    within, steady = float(parameters["within"]), float(parameters.get("steady", STEADY))
    target = f"<= {seconds(within)}"
    begin = _begin(history.faults)
    if begin is None:
        return Finding("recovery", State.UNKNOWN, "no fault was injected", target)
    short = _shortfalls(history, begin)
    operations = [operation for operation in history.operations if operation.finished >= begin]
    if not operations and (history.load_rate or short is None):
        missing = "no operation was seen" if history.load_rate else "neither load nor readiness was seen"
        return Finding("recovery", State.UNKNOWN, f"{missing} after the fault", target, recovery="no data")
    failures = [operation.intended for operation in history.operations if not operation.ok]
    bad = [time for time in failures if time >= begin]
    # Without load only readiness tells, and it is watched to the end of the run.
    end = max((operation.intended for operation in operations), default=history.end)
    last = max([begin, *bad, *(until for _, until in short or [])])
    blind = census.gaps(operations, (begin, end), history.load_rate)
    # Traffic that was good throughout is steady from the start; readiness is a state, it needs no stretch of time.
    since = max(failures, default=history.start)
    seen_steady = (not operations or end - since >= steady) and all(until < history.end for _, until in short or [])
    detail = {"from": begin, "failed": len(bad), "last_bad": last, "unseen": len(blind), "steady": seen_steady}
    took = seconds(last - begin) if seen_steady else f"> {seconds(last - begin)}"
    if last - begin > within:
        summary = f"{_blame(bad, short or [], begin + within)}, last {seconds(last - begin)} after the fault"
        return Finding("recovery", State.BROKEN, summary, target, recovery=took, detail=detail)
    if not seen_steady or blind:
        why = "the load had gaps after the fault" if blind else "the run ended before it was steady"
        return Finding("recovery", State.UNKNOWN, why, target, recovery="no data" if blind else took, detail=detail)
    return Finding("recovery", State.HELD, f"steady after {took}", target, recovery=took, detail=detail)


def _begin(faults: Iterable[FaultRecord]) -> float | None:
    """Give the time the clock starts: the last moment at which a fault still held something down."""
    times = [_released(fault) for fault in faults]
    return max((time for time in times if time is not None), default=None)


def _released(fault: FaultRecord) -> float | None:
    kind = FAULTS.get(fault.kind)
    if kind and kind.instant:
        return fault.injected
    return next((time for time in (fault.undone, fault.healed, fault.injected) if time is not None), None)


def _shortfalls(history: History, begin: float) -> list[Span] | None:
    """Find when a Deployment that was complete before the faults had fewer ready pods than it wants; None: not seen."""
    start = history.window[0] if history.window else begin
    series: dict[str, list[Sample]] = {}
    for sample in history.samples:
        if sample.series.startswith("ready/") and sample.value is not None:
            series.setdefault(sample.series, []).append(sample)
    if not series:
        return None
    found: list[Span] = []
    for samples in series.values():
        samples.sort(key=lambda sample: sample.time)
        before = [sample for sample in samples if sample.time < start]
        if before and _short(before[-1]):
            continue
        for sample, following in zip(samples, [*samples[1:], None], strict=True):
            until = following.time if following else history.end
            if _short(sample) and until > begin:
                found.append((max(sample.time, begin), until))
    return found


def _short(sample: Sample) -> bool:
    return sample.value is not None and sample.value < float(sample.labels.get("desired", 1))


def _blame(bad: list[float], short: list[Span], limit: float) -> str:
    failed = sum(time > limit for time in bad)
    causes = [f"{failed} operations failed"] if failed else []
    if any(until > limit for _, until in short):
        causes.append("ready pods were missing")
    return f"after the limit {' and '.join(causes)}"
