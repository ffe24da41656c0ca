"""Read when an experiment is due by itself; the words are chaoskube's where it has them."""

from __future__ import annotations

import calendar
import re
import zoneinfo
from datetime import UTC, datetime
from typing import Any

from harness.model import units
from harness.model.schedule import Schedule
from harness.source.closed import Section, nearest

KEYS = ("every", "cron", "timezone", "excluded-weekdays", "excluded-times-of-day", "excluded-days-of-year")
# Not the calendar module's, which speaks the language of its surroundings.
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SHORTEST_SECONDS = 10.0
LONGEST_SECONDS = 366 * 86400.0
PERIOD = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")
DAY = re.compile(r"([A-Z][a-z]{2})[ _]?(\d{1,2})")
# Any leap year: the 29th of February is a day of the year, too.
LEAP_YEAR = 2000


def read(section: Section) -> Schedule:
    """Read a schedule; problems are noted, not raised."""
    if section.data and ("every" in section) == ("cron" in section):
        section.problems.add(section.place, "a schedule needs either 'every' or 'cron'", hint="every: 10m")
    found = Schedule(
        every=section.get("every", units.bounded(units.duration, LONGEST_SECONDS, SHORTEST_SECONDS), 0.0),
        cron=section.get("cron", cron, ""),
        timezone=section.get("timezone", timezone, "UTC"),
        weekdays=section.each("excluded-weekdays", weekday),
        times=section.each("excluded-times-of-day", time_of_day),
        days=section.each("excluded-days-of-year", day_of_year),
    )
    if len(set(found.weekdays)) == len(WEEKDAYS):
        section.problems.add(section.at("excluded-weekdays"), "every weekday is excluded, so that it is never due")
    return found


def cron(value: Any) -> str:
    """Read a cron expression of five fields, as Debian's cron has it."""
    # Only where there is one: every document is read here.
    from cronsim import CronSim, CronSimError

    text = units.text(value)
    if len(text.split()) != 5:
        raise ValueError(f"{units.shown(value)} does not have the five fields minute, hour, day, month and weekday")
    try:
        next(CronSim(text, datetime(LEAP_YEAR, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(f"{units.shown(value)} is not a cron expression: {error}") from None
    except StopIteration:
        raise ValueError(f"{units.shown(value)} is never due") from None
    return text


def timezone(value: Any) -> str:
    """Read the name of a time zone of the IANA database, such as `Europe/Berlin`."""
    name = units.text(value)
    try:
        return zoneinfo.ZoneInfo(name).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = nearest(name, zoneinfo.available_timezones()) if len(name) > 1 else ""
        close = f"; {hint}" if hint.startswith("did you mean") else ", like UTC or Europe/Berlin"
        raise ValueError(f"{units.shown(value)} is not the name of a time zone{close}") from None


def weekday(value: Any) -> int:
    """Read a weekday such as `Sat`; 0 is Monday."""
    text = value.strip().lower() if isinstance(value, str) else ""
    for number, name in enumerate(WEEKDAYS):
        if text in (name.lower(), name[:3].lower()):
            return number
    raise ValueError(f"{units.shown(value)} is not a weekday: {', '.join(name[:3] for name in WEEKDAYS)}")


def time_of_day(value: Any) -> tuple[int, int]:
    """Read a time of day such as `22:00-08:00` as minutes since midnight."""
    match = PERIOD.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"{units.shown(value)} is not a time of day from one minute to another, like 22:00-08:00")
    start, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if start == end:
        raise ValueError(f"{units.shown(value)} is no time at all; 00:00-23:59 and 23:59-00:00 are a whole day")
    return start, end


def day_of_year(value: Any) -> tuple[int, int]:
    """Read a day of the year such as `Dec25` as month and day."""
    match = DAY.fullmatch(value.strip()) if isinstance(value, str) else None
    month = MONTHS.index(match[1]) + 1 if match and match[1] in MONTHS else 0
    if not match or not month or not 1 <= int(match[2]) <= calendar.monthrange(LEAP_YEAR, month)[1]:
        raise ValueError(f"{units.shown(value)} is not a day of the year, like Jan1 or Dec25")
    return month, int(match[2])
