"""Turn operations and samples into what a chart plots; where nothing was seen there is None, never a guess."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.model.history import Operation
from harness.report.values import Bucket, Track

MOST_BUCKETS = 600
# A bucket holds this many operations at the intended rate before an empty one means anything.
LEAST_OPERATIONS = 5.0


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
        start, seen, failed, 1 - failed / seen, quantile(ordered, 0.5), quantile(ordered, 0.95), quantile(ordered, 0.99)
    )


def quantile(ordered: Sequence[float], q: float) -> float:
    """Give the smallest value that at least a share `q` of the values does not exceed."""
    return ordered[max(0, math.ceil(q * len(ordered) - 1e-9) - 1)]


def gaps(found: Sequence[Bucket], seconds: float, span: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """Find the stretches, whole buckets, in which the load should have run and nothing was seen."""
    joined: list[tuple[float, float]] = []
    for bucket in found:
        start, end = bucket.start, bucket.start + seconds
        if bucket.operations or start < span[0] or end > span[1]:
            continue
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, end))
    return tuple(joined)


def tracks(samples: Iterable[tuple[float, Mapping[str, Any]]], prefix: str) -> tuple[Track, ...]:
    """Collect the series under a prefix, each as its changes; several pods are shown by their highest value."""
    values: dict[str, list[tuple[float, str, float | None]]] = {}
    wanted: dict[str, float] = {}
    for time, data in samples:
        series, labels = str(data.get("series", "")), data.get("labels") or {}
        if not series.startswith(prefix):
            continue
        name = series[len(prefix) :]
        values.setdefault(name, []).append((time, str(labels.get("pod", "")), _number(data.get("value"))))
        if (desired := _number(labels.get("desired"))) is not None:
            wanted[name] = desired
    return tuple(Track(name, _steps(values[name]), wanted.get(name)) for name in sorted(values))


def _steps(found: list[tuple[float, str, float | None]]) -> tuple[tuple[float, float | None], ...]:
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
