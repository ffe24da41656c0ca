"""When a schedule is due: its ticks, less what is excluded, right through every change of clocks."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.model.schedule import Schedule
from harness.schedule import due

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def local(moment: datetime, zone: str = BERLIN) -> str:
    return moment.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M %Z")


def ticks(schedule: Schedule, start: datetime, count: int) -> list[datetime]:
    found = []
    for _ in range(count):
        start = due.after(schedule, start)
        found.append(start)
    return found


def test_an_interval_keeps_to_the_same_times_whenever_the_scheduler_began() -> None:
    every = Schedule(every=600)
    assert due.after(every, at("2026-11-30T10:03:17")) == at("2026-11-30T10:10")
    assert due.after(every, at("2026-11-30T10:09:59.999999")) == at("2026-11-30T10:10")
    assert due.after(every, at("2026-11-30T10:10")) == at("2026-11-30T10:20")


def test_what_is_excluded_is_passed_over_to_its_very_end() -> None:
    seeds = Schedule(every=600, weekdays=(5, 6), times=((22 * 60, 8 * 60),), days=((12, 25),))
    friday = at("2026-11-27T21:40")
    assert [one.strftime("%a %H:%M") for one in ticks(seeds, friday, 3)] == ["Fri 21:50", "Mon 08:00", "Mon 08:10"]
    # The 25th is a Friday, and then comes the weekend.
    assert due.after(seeds, at("2026-12-24T21:50")) == at("2026-12-28T08:00")


@pytest.mark.parametrize(
    ("minute", "excluded"), [("21:59", False), ("22:00", True), ("03:00", True), ("07:59", True), ("08:00", False)]
)
def test_an_excluded_time_of_day_begins_with_its_first_minute_and_ends_before_its_last(minute, excluded) -> None:
    night = Schedule(every=60, times=((22 * 60, 8 * 60),))
    assert (due.excluded_until(night, at(f"2026-11-30T{minute}")) is not None) is excluded


def test_an_excluded_time_is_of_the_schedules_zone() -> None:
    day = Schedule(every=3600, timezone="Asia/Kolkata", times=((9 * 60, 17 * 60),))
    # 12:00 in Kolkata; the day there is over at 11:30 in London.
    assert due.excluded_until(day, at("2026-11-30T06:30")) == at("2026-11-30T11:30")


def test_a_job_in_the_hour_that_is_skipped_comes_right_after_it() -> None:
    daily = Schedule(cron="30 2 * * *", timezone=BERLIN)
    found = [local(one) for one in ticks(daily, at("2026-03-28T00:00", BERLIN), 3)]
    assert found == ["03-28 02:30 CET", "03-29 03:00 CEST", "03-30 02:30 CEST"]


def test_a_job_in_the_hour_that_comes_twice_comes_once() -> None:
    daily = Schedule(cron="30 2 * * *", timezone=BERLIN)
    found = [local(one) for one in ticks(daily, at("2026-10-24T00:00", BERLIN), 3)]
    assert found == ["10-24 02:30 CEST", "10-25 02:30 CEST", "10-26 02:30 CET"]


def test_an_interval_knows_nothing_of_clocks_that_change() -> None:
    found = ticks(Schedule(every=1800, timezone=BERLIN), at("2026-10-25T01:45", BERLIN), 6)
    assert {b - a for a, b in itertools.pairwise(found)} == {timedelta(minutes=30)}


def test_an_excluded_night_ends_at_its_local_hour_on_either_side_of_a_change() -> None:
    night = Schedule(every=600, timezone=BERLIN, times=((22 * 60, 8 * 60),))
    for day in ("2026-03-28", "2026-10-24"):
        found = due.after(night, at(f"{day}T22:05", BERLIN))
        assert local(found).split()[1] == "08:00"
        assert found.date() == at(day).date() + timedelta(days=1)


def test_an_excluded_time_that_ends_in_the_hour_that_is_skipped_ends_after_it() -> None:
    skipped = Schedule(every=60, timezone=BERLIN, times=((60, 150),))
    assert local(due.after(skipped, at("2026-03-29T01:30", BERLIN))) == "03-29 03:30 CEST"


def test_a_schedule_whose_every_time_is_excluded_is_refused() -> None:
    never = Schedule(cron="0 23 * * *", times=((22 * 60, 8 * 60),))
    with pytest.raises(UsageError, match="never due") as refused:
        due.after(never, at("2026-11-30T10:00"))
    assert "cron 0 23 * * *, UTC, but not 22:00-08:00" in str(refused.value)


def test_what_was_missed_is_counted_without_what_is_excluded() -> None:
    seeds = Schedule(every=600, times=((22 * 60, 8 * 60),))
    assert due.missed(seeds, at("2026-11-30T21:30"), at("2026-12-01T08:10")) == 4
    assert due.missed(seeds, at("2026-11-30T10:00"), at("2026-11-30T10:00")) == 0
    assert due.missed(Schedule(every=60), at("1999-01-01T00:00"), at("2026-11-30T10:00")) == due.MOST


# The hours in UTC before which clocks change, the one way and the other.
CHANGES = [
    (BERLIN, "2026-03-29T01", "2026-10-25T01"),
    ("America/New_York", "2026-03-08T07", "2026-11-01T06"),
    ("America/Santiago", "2026-04-05T03", "2026-09-06T04"),
    ("Australia/Lord_Howe", "2026-04-04T15", "2026-10-03T16"),
]


@pytest.mark.parametrize(("zone", "hour"), [(zone, hour) for zone, *hours in CHANGES for hour in hours])
@pytest.mark.parametrize("cron", ["45 1 * * *", "15 2,3 * * *", "30 23 * * *", "*/10 * * * *"])
def test_what_is_due_is_later_at_every_minute_of_a_change_of_clocks(cron: str, zone: str, hour: str) -> None:
    schedule, change = Schedule(cron=cron, timezone=zone), at(f"{hour}:00")
    minutes = [change + timedelta(minutes=number) for number in range(-90, 90)]
    assert len({minute.astimezone(ZoneInfo(zone)).utcoffset() for minute in minutes}) == 2
    assert [minute for minute in minutes if due.after(schedule, minute) <= minute] == []


def test_a_scheduler_that_begins_in_the_hour_that_comes_twice_waits_for_the_next_day() -> None:
    daily = Schedule(cron="30 2 * * *", timezone=BERLIN)
    second = datetime(2026, 10, 25, 1, 5, tzinfo=UTC)
    assert local(second) == "10-25 02:05 CET"
    assert local(due.after(daily, second)) == "10-26 02:30 CET"
    assert due.missed(daily, second, second + timedelta(hours=12)) == 0


MINUTES = st.integers(0, 1439)


@given(
    start=st.integers(0, 3 * 366 * 86400),
    zone=st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    every=st.integers(10, 90_000),
    times=st.lists(st.tuples(MINUTES, MINUTES).filter(lambda pair: pair[0] != pair[1]), max_size=2),
    weekdays=st.lists(st.integers(0, 6), max_size=5),
)
def test_what_is_due_is_later_on_the_grid_and_never_excluded(start, zone, every, times, weekdays) -> None:
    moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=start)
    schedule = Schedule(every=every, timezone=zone, times=tuple(times), weekdays=tuple(weekdays))
    try:
        found = due.after(schedule, moment)
    except UsageError:
        return
    assert found > moment
    assert (found - due.EPOCH) % timedelta(seconds=every) == timedelta()
    assert due.excluded_until(schedule, found) is None
