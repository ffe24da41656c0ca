"""When an experiment is due by itself: how often, and when not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often, by an interval or by a cron expression, and the times that are excluded; all in one time zone.

    `every` is in seconds, 0 where `cron` says when. Weekdays count from Monday, which is 0. Times of day are minutes
    since midnight, from the first up to the second, over midnight where the second is the smaller one; days of the year
    are month and day.
    """

    every: float = 0.0
    cron: str = ""
    timezone: str = "UTC"
    weekdays: tuple[int, ...] = ()
    times: tuple[tuple[int, int], ...] = ()
    days: tuple[tuple[int, int], ...] = ()
