"""Tell by how much one sample lies above another: the Mann-Whitney test's interval, as R and Kayenta have it.

It is the asymptotic two-sided interval for a shift, with continuity correction and ties, of R's `wilcox.test`. No
library is needed for it: the statistic falls in steps at differences of two values, so that its roots are differences.
They are returned as such. What lies beside a root will not do: where half of all values are one and the same the shift
is 0, and of two numbers next to 0 either may be a multiple of the other.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

# Halvings after which two doubles have nothing between them.
HALVINGS = 200


@dataclass(frozen=True, slots=True)
class Shift:
    """By how much the experiment lies above the control: an interval, and the estimate of Hodges and Lehmann."""

    low: float
    high: float
    estimate: float


def shift(experiment: Sequence[float], control: Sequence[float], confidence: float) -> Shift:
    """Return the shift between two samples that are not empty; `confidence` is between 0 and 1."""
    ordered = sorted(control)
    least, most = min(experiment) - ordered[-1], max(experiment) - ordered[0]
    quantile = NormalDist().inv_cdf((1 - confidence) / 2)

    def fall(holds: Callable[[float], bool]) -> float:
        beside = _fall(least, most, holds)
        differences = (value - other for value in experiment for other in _around(ordered, value - beside))
        return min(differences, key=lambda one: abs(one - beside))

    def root(wanted: float) -> float:
        if statistic(experiment, control, least) <= wanted:
            return least
        if statistic(experiment, control, most) >= wanted:
            return most
        return fall(lambda by: statistic(experiment, control, by) > wanted)

    # With the correction the statistic is 0 for a while, and Kayenta takes any shift there. Without it there is one, or
    # the middle of what lies between two: the median of all differences.
    above = fall(lambda by: statistic(experiment, control, by, correction=0.0) > 0)
    below = fall(lambda by: statistic(experiment, control, by, correction=0.0) >= 0)
    return Shift(root(-quantile), root(quantile), (above + below) / 2)


def statistic(experiment: Sequence[float], control: Sequence[float], by: float, *, correction: float = 0.5) -> float:
    """Return how many standard deviations the experiment lies above the control when it is moved down by that much."""
    moved = [value - by for value in experiment]
    ranks: dict[float, float] = {}
    tied = place = 0
    counts = Counter(moved) + Counter(control)
    for value in sorted(counts):
        many = counts[value]
        ranks[value] = place + (many + 1) / 2
        tied += many**3 - many
        place += many
    own, others, whole = len(moved), len(control), place
    above = sum(ranks[value] for value in moved) - own * (own + 1) / 2 - own * others / 2
    deviation = math.sqrt(own * others / 12 * (whole + 1 - tied / (whole * (whole - 1))))
    # All are one value: nothing lies above anything.
    return (above - math.copysign(correction, above) if above else 0.0) / deviation if deviation else 0.0


def effect(experiment: Sequence[float], control: Sequence[float]) -> float:
    """Return the probability that a value of the experiment is above one of the control, equal ones counting half."""
    ordered = sorted(control)
    below = sum(bisect.bisect_left(ordered, value) + bisect.bisect_right(ordered, value) for value in experiment)
    return below / 2 / len(experiment) / len(control)


def _around(ordered: Sequence[float], value: float) -> Sequence[float]:
    """Return the values of an ordered list that are the nearest ones on either side."""
    place = bisect.bisect_left(ordered, value)
    return ordered[max(0, place - 1) : place + 1]


def _fall(low: float, high: float, holds: Callable[[float], bool]) -> float:
    """Return next to what something ceases to hold that holds at the low end of a stretch and not at its high end."""
    for _ in range(HALVINGS):
        middle = low + (high - low) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high
