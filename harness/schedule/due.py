"""Tell when a schedule is due: its ticks, less those that fall into excluded times.

The ticks of an interval are its multiples since 1970, so that a scheduler which starts anew keeps to the same times.
Those of a cron expression are where Debian's cron has them when clocks change: what would fall into the hour that is
skipped comes right after it, what would come twice comes once.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from harness.documents.schedule import MONTHS, WEEKDAYS
from harness.errors import UsageError
from harness.model.schedule import Schedule
from harness.model.units import seconds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
# More are not counted one by one: a machine may have slept for years.
MOST = 10_000
# Each look passes over one excluded time; these are more than two years of days with one.
LOOKS = 1000


def after(schedule: Schedule, moment: datetime) -> datetime:
    """Return the first time after a moment that is due and not excluded; raises UsageError where there is none."""
    at = moment
    for _ in range(LOOKS):
        try:
            tick = _tick(schedule, at)
        except StopIteration:
            break
        end = excluded_until(schedule, tick)
        if end is None:
            return tick
        # A tick at the very end of an excluded time is due.
        at = max(tick, end - INSTANT)
    raise UsageError(
        "the schedule is never due", why=f"each time that it names is excluded: {text(schedule)}", hint="exclude less"
    )


def missed(schedule: Schedule, start: datetime, end: datetime) -> int:
    """Count what was due after one moment and up to another, MOST at the most."""
    at = start
    for count in range(MOST):
        at = after(schedule, at)
        if at > end:
            return count
    return MOST


def _tick(schedule: Schedule, moment: datetime) -> datetime:
    if schedule.every:
        every = timedelta(seconds=schedule.every)
        return EPOCH + ((moment - EPOCH) // every + 1) * every
    ticks = (tick.astimezone(UTC) for tick in CronSim(schedule.cron, moment.astimezone(ZoneInfo(schedule.timezone))))
    # In the second of two hours that are one on the clock it gives the first one's ticks again.
    return next(tick for tick in ticks if tick > moment)


def excluded_until(schedule: Schedule, moment: datetime) -> datetime | None:
    """Return the end of the excluded time that a moment falls into; None where it falls into none."""
    zone = ZoneInfo(schedule.timezone)
    local = moment.astimezone(zone)
    day, minute = local.date(), local.hour * 60 + local.minute
    ends = []
    if local.weekday() in schedule.weekdays or (day.month, day.day) in schedule.days:
        ends.append(datetime.combine(day + timedelta(days=1), time(), zone))
    for first, last in schedule.times:
        inside = first <= minute < last if first < last else minute >= first or minute < last
        if inside:
            over = day + timedelta(days=int(minute >= last))
            ends.append(datetime.combine(over, time(last // 60, last % 60), zone))
    # Where clocks change an end may lie before the moment: the next minute is asked then.
    return max(max(ends).astimezone(UTC), moment + MINUTE) if ends else None


def text(schedule: Schedule) -> str:
    """Say in one line when a schedule is due."""
    often = f"every {seconds(schedule.every)}" if schedule.every else f"cron {schedule.cron}"
    weekdays = [WEEKDAYS[number][:3] for number in schedule.weekdays]
    times = [f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in schedule.times]
    days = [f"{MONTHS[month - 1]}{day}" for month, day in schedule.days]
    but = ", ".join([*weekdays, *times, *days])
    return f"{often}, {schedule.timezone}" + (f", but not {but}" if but else "")
