"""Read sampled series as step functions of time, one for each pod."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from harness.model.history import Sample

Points = Sequence[tuple[float, float]]
# Prometheus scrapes the SLI jobs every two seconds; what is silent for longer was not seen.
LONGEST_SILENCE = 15.0


def by_pod(samples: Iterable[Sample], series: str, *, outcomes: Collection[str] | None = None) -> dict[str, Points]:
    """Return a series' points in the order of time for each pod, only those of these `outcome` labels if given.

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


def at(points: Points, time: float, *, within: float = math.inf) -> float | None:
    """Return the last value at or before a time; None before the first, and when the last is older than `within`."""
    value = None
    for when, found in points:
        if when > time:
            break
        value = found if time - when <= within else None
    return value


def silence(times: Iterable[float], start: float, end: float) -> float:
    """Return the longest time between two samples of a stretch, its ends included."""
    marks = [start, *sorted(time for time in times if start <= time <= end), end]
    return max(later - earlier for earlier, later in pairwise(marks))


def increase(points: Points, start: float, end: float) -> float:
    """Return how much a counter grew between two times; a fall is a restart from zero, as Prometheus reads it."""
    grown, previous = 0.0, at(points, start)
    for when, value in points:
        if start < when <= end:
            if previous is not None:
                grown += value - previous if value >= previous else value
            previous = value
    return grown


def trouble(samples: Iterable[Sample]) -> str:
    """Say why Prometheus gave nothing, to stand behind what is missing; empty when that is not known."""
    return next((f": {sample.labels['error']}" for sample in samples if sample.labels.get("error")), "")
