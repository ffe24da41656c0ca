"""Walk through what is due, one run at a time, until somebody ends it.

A time that was missed is counted and never made up for: while a run goes on, while the scheduler is away, when the
machine slept or its clock was put forward. One experiment's time that comes while another one runs waits for its end,
once. A clock that was put back begins anew with the time that it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from harness.model.experiment import Experiment
from harness.schedule import due
from harness.schedule.log import MISSED, Tick, shown

# So late something may begin when nothing of ours is in its way; later than that the machine or its clock is.
LATE = timedelta(minutes=1)
# A clock that is set right by less than this is no other time.
BACK = timedelta(minutes=1)
# How often the clock is looked at.
LOOK_SECONDS = 20.0

Perform = Callable[[Experiment, datetime], Tick]
Tell = Callable[[Tick], None]


class Clock(Protocol):
    """What time it is, and how to wait."""

    def now(self) -> datetime:
        """Return the time that the clock shows, in UTC."""

    def passed(self) -> float:
        """Return seconds that only ever grow, whatever is done to the clock."""

    def wait(self, seconds: float) -> str:
        """Wait; return who asked for the end meanwhile, empty when nobody did."""


def conduct(
    experiments: Sequence[Experiment],
    perform: Perform,
    clock: Clock,
    tell: Tell,
    *,
    last: Mapping[str, datetime],
    limit: float | None = None,
) -> set[int]:
    """Run what is due until somebody ends it, for at most `limit` seconds, and return the exit codes of what ran.

    `last` says when each was last accounted for, by an earlier scheduler. Raises UsageError for a schedule that is
    never due.
    """
    schedules = [one.schedule for one in experiments if one.schedule]
    seen = free = clock.now()
    ends = clock.passed() + limit if limit is not None else None
    dues = [due.after(schedule, seen) for schedule in schedules]
    for one, schedule in zip(experiments, schedules, strict=True):
        if one.name in last:
            _tell_missed(tell, one, due.missed(schedule, last[one.name], seen), seen, "the scheduler was away")
    codes: set[int] = set()
    while True:
        now = clock.now()
        if seen - now > BACK:
            dues, free = [due.after(schedule, now) for schedule in schedules], now
        seen = now
        number = min(range(len(dues)), key=lambda each: dues[each])
        experiment, schedule, at = experiments[number], schedules[number], dues[number]
        left = ends - clock.passed() if ends is not None else LOOK_SECONDS
        if left <= 0:
            return codes
        # Also where nothing has to be waited for: the end may have been asked for.
        if clock.wait(max(0.0, min((at - now).total_seconds(), LOOK_SECONDS, left))):
            return codes
        if at > now:
            continue
        if now - max(at, free) > LATE:
            count = due.missed(schedule, at - due.INSTANT, now)
            _tell_missed(tell, experiment, count, now, "the machine slept, or its clock was put forward")
        else:
            tick = perform(experiment, at)
            tell(tick)
            codes.add(tick.exit)
            if tick.last:
                return codes
            now = free = clock.now()
            _tell_missed(tell, experiment, due.missed(schedule, at, now), now, "a run went on")
        # A clock that was set right by a little must not have the same time twice.
        dues[number] = due.after(schedule, max(now, at))


def _tell_missed(tell: Tell, experiment: Experiment, count: int, now: datetime, why: str) -> None:
    if count:
        tell(Tick(experiment.name, shown(now), shown(now), MISSED, why, count))
