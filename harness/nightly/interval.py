"""Say how sure a number from few runs is: intervals for shares, and a test that may be looked at every night.

Runs are taken as independent. Where runs of one night share a bad machine that is too kind, so every view shows the
counts beside the interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

CONFIDENCE = 0.95
# Kubernetes asks of its own tests that no more than one run in a hundred changes its verdict.
ALLOWED = 0.01
# Where the flip rate is no more than allowed, this is passed once in twenty histories, however often one looks.
ALARM = 20.0
# The rates that the test asks about; the smallest is twice the allowed one.
SUSPECTED = (0.02, 0.05, 0.1, 0.2, 0.5)

Interval = tuple[float, float]


def wilson(hits: int, runs: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of a share that was seen as `hits` of `runs`; from 0 to 1 when nothing was seen.

    Wilson, 1927: it keeps its promise for few runs and for shares near 0 and 1, where the usual one has no width.
    """
    if not 0 <= hits <= runs:
        raise ValueError(f"{hits} of {runs} is no share")
    if not runs:
        return 0.0, 1.0
    z = _z(confidence)
    share, weight = hits / runs, z * z / runs
    middle = (share + weight / 2) / (1 + weight)
    reach = z * math.sqrt(share * (1 - share) / runs + weight / (4 * runs)) / (1 + weight)
    # The bounds of nothing and of all are exact; rounding must not move them past the share itself.
    return (0.0 if not hits else max(0.0, middle - reach)), (1.0 if hits == runs else min(1.0, middle + reach))


def difference(hits: int, runs: int, hits_before: int, runs_before: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of a share minus an earlier one; from -1 to 1 when one of the two was not seen.

    Newcombe, 1998, method 10: each share's own Wilson interval, combined.
    """
    if not runs or not runs_before:
        return -1.0, 1.0
    low, high = wilson(hits, runs, confidence)
    low_before, high_before = wilson(hits_before, runs_before, confidence)
    share, before = hits / runs, hits_before / runs_before
    found = share - before
    return (
        max(-1.0, found - math.hypot(share - low, high_before - before)),
        min(1.0, found + math.hypot(high - share, before - low_before)),
    )


def suspicion(flips: Sequence[bool], allowed: float = ALLOWED) -> float:
    """Return how much better a flip rate above the allowed one explains these runs, averaged over SUSPECTED.

    As long as the rate is no more than allowed this is a fair game or worse: it passes ALARM in at most one history of
    twenty, wherever the history is stopped (Ville). A bound that is looked at every night has no such limit.
    """
    hits = sum(flips)
    misses = len(flips) - hits
    odds = (
        math.exp(hits * math.log(rate / allowed) + misses * math.log((1 - rate) / (1 - allowed))) for rate in SUSPECTED
    )
    return sum(odds) / len(SUSPECTED)


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
