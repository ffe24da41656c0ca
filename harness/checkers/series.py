"""Read sampled series as step functions of time, one for each pod."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from harness.model.history import Sample

Points = Sequence[tuple[float, float]]


def by_pod(samples: Iterable[Sample], series: str, *, outcomes: Collection[str] | None = None) -> dict[str, Points]:
    """Give a series' points in the order of time for each pod, only those with one of these `outcome` labels if given.

    Values of several label sets of one pod are added.
    """
    sets: dict[str, dict[tuple[tuple[str, str], ...], list[tuple[float, float]]]] = {}
    for sample in samples:
        wanted = outcomes is None or sample.labels.get("outcome") in outcomes
        if sample.series == series and sample.value is not None and wanted:
            identity = tuple(sorted(sample.labels.items()))
            points = sets.setdefault(sample.labels.get("pod", ""), {}).setdefault(identity, [])
            points.append((sample.time, sample.value))
    return {pod: _added([sorted(points) for points in found.values()]) for pod, found in sets.items()}


def _added(parts: list[list[tuple[float, float]]]) -> Points:
    if len(parts) == 1:
        return parts[0]
    changes = sorted((time, index, value) for index, points in enumerate(parts) for time, value in points)
    current = [0.0] * len(parts)
    total: dict[float, float] = {}
    for time, index, value in changes:
        current[index] = value
        total[time] = sum(current)
    return list(total.items())


def at(points: Points, time: float) -> float | None:
    """Give the last value at or before a time; None before the first."""
    value = None
    for when, found in points:
        if when > time:
            break
        value = found
    return value


def increase(points: Points, start: float, end: float) -> float:
    """Give how much a counter grew between two times; a fall is a restart from zero, as Prometheus reads it."""
    grown, previous = 0.0, at(points, start)
    for when, value in points:
        if start < when <= end:
            if previous is not None:
                grown += value - previous if value >= previous else value
            previous = value
    return grown
