"""Keep the distribution of durations in little memory: counts by classes that are one per cent wide."""

from __future__ import annotations

import math

_WIDTH = math.log(1.01)
_LEAST = 1e-6
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Quantiles:
    """Durations in seconds, told in milliseconds within one per cent."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._most = 0.0
        self.count = 0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        kind = int(math.log(max(seconds, _LEAST) / _LEAST) / _WIDTH)
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._most = max(self._most, seconds)
        self.count += 1

    def told(self) -> dict[str, float]:
        """Return the median, two high quantiles and the longest, in milliseconds; nothing when nothing was counted."""
        if not self.count:
            return {}
        found: dict[str, float] = {}
        waiting, seen = dict(SHARES), 0
        for kind in sorted(self._counts):
            seen += self._counts[kind]
            for name in [name for name, share in waiting.items() if seen >= share * self.count]:
                del waiting[name]
                found[name] = round(1e3 * min(_LEAST * math.exp((kind + 0.5) * _WIDTH), self._most), 3)
        return found | {"max": round(1e3 * self._most, 3)}
