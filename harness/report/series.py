"""Turn operations and samples into what a chart plots; where nothing was seen there is None, never a guess."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from harness.checkers import census
from harness.model.history import Operation, Sample
from harness.report.values import Bucket, Track

MOST_BUCKETS = 600
# A bucket holds this many operations at the intended rate before an empty one means anything.
LEAST_OPERATIONS = 5.0
# A pod's series are sampled once a second; one that misses so many samples is gone, or out of sight.
STEP, SILENT = 1.0, 5.0
Value = tuple[float, str, float | None]  # time, pod, value


def width(end: float, rate: float | None) -> float:
    """Choose a bucket's seconds: one, more when the run is long or the load slow."""
    return float(max(1, math.ceil(end / MOST_BUCKETS), math.ceil(LEAST_OPERATIONS / rate) if rate else 1))


def buckets(operations: Iterable[Operation], seconds: float, span: tuple[float, float]) -> tuple[Bucket, ...]:
    """Sort operations by when they were due into buckets that cover the whole span."""
    latencies: dict[int, list[float]] = {}
    failed: dict[int, int] = {}
    for operation in operations:
        number = math.floor(operation.intended / seconds)
        latencies.setdefault(number, []).append(operation.latency)
        failed[number] = failed.get(number, 0) + (not operation.ok)
    if not latencies:
        return ()
    first = max(0, min(min(latencies), math.floor(span[0] / seconds)))
    last = min(max(max(latencies), math.floor(span[1] / seconds)), first + 4 * MOST_BUCKETS)
    return tuple(
        _bucket(number * seconds, sorted(latencies.get(number, ())), failed.get(number, 0))
        for number in range(first, last + 1)
    )


def _bucket(start: float, ordered: Sequence[float], failed: int) -> Bucket:
    if not ordered:
        return Bucket(start)
    seen = len(ordered)
    return Bucket(
        start,
        seen,
        failed,
        1 - failed / seen,
        census.quantile(ordered, 0.5),
        census.quantile(ordered, 0.95),
        census.quantile(ordered, 0.99),
    )


def gaps(operations: Iterable[Operation], seconds: float, span: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """Find the stretches, whole buckets, in which the load should have run and nothing was seen."""
    whole = (math.ceil(span[0] / seconds) * seconds, span[1])
    return tuple(census.gaps((operation.intended for operation in operations), whole, seconds))


def tracks(samples: Iterable[Sample], prefix: str, end: float) -> tuple[Track, ...]:
    """Collect the series under a prefix, each as its changes; several pods are shown by their highest value."""
    values: dict[str, list[Value]] = {}
    wanted: dict[str, float] = {}
    for sample in samples:
        if not sample.series.startswith(prefix):
            continue
        name = sample.series[len(prefix) :]
        pod = str(sample.labels.get("pod", ""))
        values.setdefault(name, []).append((float(sample.time), pod, _number(sample.value)))
        if (desired := _number(sample.labels.get("desired"))) is not None:
            wanted[name] = desired
    return tuple(Track(name, _steps(_with_silence(values[name], end)), wanted.get(name)) for name in sorted(values))


def _with_silence(found: list[Value], end: float) -> list[Value]:
    """Say that a pod was not seen any more from when its samples stop; what has no pod is told only when it changes."""
    times: dict[str, list[float]] = {}
    for time, pod, _ in found:
        times.setdefault(pod, []).append(time)
    silent: list[Value] = []
    for pod, seen in times.items():
        marks = [*sorted(seen), end] if pod else []
        silent += [(last + STEP, pod, None) for last, following in pairwise(marks) if following - last > SILENT]
    return found + silent


def _steps(found: list[Value]) -> tuple[tuple[float, float | None], ...]:
    pods: dict[str, float | None] = {}
    points: list[tuple[float, float | None]] = []
    for time, pod, value in sorted(found, key=lambda item: item[0]):
        pods[pod] = value
        known = [number for number in pods.values() if number is not None]
        highest = max(known) if known else None
        if points and points[-1][0] == time:
            points.pop()
        if not points or points[-1][1] != highest:
            points.append((time, highest))
    return tuple(points)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
