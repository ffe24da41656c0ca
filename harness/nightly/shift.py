"""Say how far one handful of times lies behind another, and whether so few can say it at all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb

from harness.nightly.interval import CONFIDENCE, Interval


def between(times: Sequence[float], before: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Return the interval of the shift from `before` to `times`; None when so few can bound none.

    Mann and Whitney's test turned round (Hodges and Lehmann, 1963): no shape is assumed but that both have the same.
    With equal values among them it is wider than it need be.
    """
    apart = sorted(late - early for late in times for early in before)
    cut = _cut(len(times), len(before), confidence)
    return (apart[cut - 1], apart[-cut]) if cut else None


@lru_cache
def _cut(count: int, before: int, confidence: float) -> int:
    """Return which of the sorted differences, from either end, bounds the shift; 0 when none does."""
    if not count or not before:
        return 0
    room = (1 - confidence) / 2 * comb(count + before, count)
    ways, cut = 0, 0
    for found in _ways(min(count, before), max(count, before)):
        ways += found
        if ways > room:
            break
        cut += 1
    return cut


def _ways(small: int, large: int) -> list[int]:
    """Count for each value of Mann and Whitney's U the orders of both samples that have it."""
    # The Gaussian binomial coefficient: (1 - q^(large+1)) ... (1 - q^(large+small)) over (1 - q) ... (1 - q^small).
    ways = [1] + [0] * (small * large)
    for step in range(1, small + 1):
        for value in range(len(ways) - 1, large + step - 1, -1):
            ways[value] -= ways[value - large - step]
        for value in range(step, len(ways)):
            ways[value] += ways[value - step]
    return ways
