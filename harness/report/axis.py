"""Place times and values on a drawing: scales, and ticks at numbers a person would choose."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.model.units import percent, seconds

STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
FLOORS = (0.99, 0.98, 0.95, 0.9, 0.8, 0.5, 0.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Map values between `low` and `high` onto pixels between `begin` and `end`."""

    low: float
    high: float
    begin: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._warp(self.low), self._warp(self.high)
        share = (self._warp(value) - low) / (high - low) if high > low else 0.0
        return round(self.begin + min(1.0, max(0.0, share)) * (self.end - self.begin), 1)

    def _warp(self, value: float) -> float:
        return math.log10(max(value, 1e-6)) if self.logarithmic else value


def time_ticks(end: float, most: int = 12) -> list[tuple[float, str]]:
    """Choose moments of the run to label."""
    step = next((step for step in STEPS if end / step <= most), STEPS[-1])
    return [(number * step, _moment(number * step)) for number in range(int(end / step) + 1)]


def _moment(time: float) -> str:
    if time < 60:
        return f"{time:g} s"
    return f"{int(time // 60)}:{int(time % 60):02d}"


def availability(lowest: float, top: float, bottom: float) -> tuple[Scale, list[tuple[float, str]]]:
    """Choose the scale that shows the lowest share without making small losses vanish."""
    floor = next(floor for floor in FLOORS if floor < lowest or not floor)
    return Scale(floor, 1.0, bottom, top), [(value, percent(value)) for value in (floor, (1 + floor) / 2, 1.0)]


def latency(lowest: float, highest: float, top: float, bottom: float) -> tuple[Scale, list[tuple[float, str]]]:
    """Choose whole decades, so that milliseconds and seconds are both seen."""
    first = math.floor(math.log10(max(lowest, 1e-4)))
    last = max(first + 1, math.ceil(math.log10(max(highest, 1e-4)) - 1e-9))
    ticks = [(10.0**power, seconds(10.0**power)) for power in range(first, last + 1)]
    return Scale(10.0**first, 10.0**last, bottom, top, logarithmic=True), ticks
