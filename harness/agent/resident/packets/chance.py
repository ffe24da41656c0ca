"""Draw what happens to the next packet, so that the same seed draws the same again."""

from __future__ import annotations

import math
from random import Random


class Chance:
    """Say yes to a share of the questions; neighbours are alike by `correlation`, from 0 to below 1.

    A two-state Markov chain with exactly that share of yes in the long run. The weighted mean that netem draws by makes
    a correlated share smaller than what was asked for.
    """

    def __init__(self, random: Random, share: float, correlation: float = 0.0) -> None:
        self._random, self._share, self._correlation = random, share, correlation
        self._last: bool | None = None

    def __call__(self) -> bool:
        """Draw once."""
        share = self._share
        if self._last is not None:
            share += self._correlation * (self._last - share)
        self._last = self._random.random() < share
        return self._last


class Spread:
    """Draw numbers from -1 to 1, each as likely as any other; neighbours are alike by `correlation`.

    A normal sequence of that correlation, bent to an even distribution: what is drawn reaches from end to end whatever
    the correlation.
    """

    def __init__(self, random: Random, correlation: float = 0.0) -> None:
        self._random, self._correlation = random, correlation
        self._fresh = math.sqrt(1 - correlation * correlation)
        self._last = random.gauss(0.0, 1.0)

    def __call__(self) -> float:
        """Draw once."""
        self._last = self._correlation * self._last + self._fresh * self._random.gauss(0.0, 1.0)
        return math.erf(self._last / math.sqrt(2))
