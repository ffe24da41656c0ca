"""How many operations are due when: a rate over time, made of straight lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.model.load import Stage

Point = tuple[float, float]  # seconds, operations per second


@dataclass(frozen=True, slots=True)
class Profile:
    """Operations per second over time: straight from point to point, before and after them as at the nearest."""

    points: tuple[Point, ...]

    def due(self, start: float, end: float) -> float:
        """Return how many operations are due between two times."""
        return sum((until - since) * (first + last) / 2 for (since, first), (until, last) in self._pieces(start, end))

    def times(self) -> Iterator[float]:
        """Yield when each operation is due, in seconds, from the first point on and without end."""
        made, index = 0.0, 0
        end = self.points[-1][0]
        for (since, first), (until, last) in self._pieces(self.points[0][0], end):
            count = (first + last) / 2 * (until - since)
            slope = (last - first) / (until - since)
            while index < made + count - 1e-9:
                yield since + _after(index - made, first, slope)
                index += 1
            made += count
        while True:
            yield end + (index - made) / self.points[-1][1]
            index += 1

    def _pieces(self, start: float, end: float) -> Iterator[tuple[Point, Point]]:
        """Cut the time between two moments at the points."""
        inner = [point for point in self.points if start < point[0] < end]
        # Of two points at one time the rate jumps: the earlier one ends a piece, the later one begins the next.
        cut = [(start, self._at(start, later=True)), *inner, (end, self._at(end, later=False))]
        return (pair for pair in pairwise(cut) if pair[0][0] < pair[1][0])

    def _at(self, time: float, *, later: bool) -> float:
        before = [point for point in self.points if point[0] < time or (later and point[0] == time)]
        after = [point for point in self.points if point[0] > time or (not later and point[0] == time)]
        if not before or not after:
            return (before[-1] if before else after[0])[1]
        (since, first), (until, last) = before[-1], after[0]
        return first if since == until else first + (last - first) * (time - since) / (until - since)


def _after(count: float, rate: float, slope: float) -> float:
    """Return after how many seconds so many operations are due, at a rate that changes evenly."""
    root = rate + math.sqrt(max(0.0, rate * rate + 2 * slope * count))
    return 2 * count / root if root else 0.0


def steady(rate: float, ramp: float = 0.0) -> Profile:
    """Return one rate, after a ramp from nothing."""
    return Profile(((0.0, 0.0), (ramp, rate)) if ramp else ((0.0, rate),))


def staged(stages: Sequence[Stage], ramp: float, start: float = 0.0) -> Profile:
    """Return stages from `start` on: the first is reached already, each later one takes its ramp from its own time."""
    points: list[Point] = [(start, stages[0].rate)]
    at = start
    for before, stage in pairwise(stages):
        at += before.seconds or 0.0
        points += [(at, before.rate), (at + ramp, stage.rate)]
    return Profile(tuple(points))
