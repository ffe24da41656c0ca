"""A scheduler under a clock that is given: what is run, what is missed, what ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.documents import document
from harness.model.experiment import Experiment
from harness.model.schedule import Schedule
from harness.schedule.conduct import conduct
from harness.schedule.log import MISSED, RAN, REFUSED, Tick, shown

TEN = datetime(2026, 11, 30, 10, 0, 30, tzinfo=UTC)
HOUR = 3600.0
EMPTY = "{title: x, description: x, method: [], extensions: [{name: harness, objectives: {recovery: {within: 1s}}}]}"


def experiment(name: str = "kill", every: float = 600) -> Experiment:
    return replace(document.loads(EMPTY, Path(f"shop/{name}.yaml")), schedule=Schedule(every=every))


class Clock:
    """A clock that moves when somebody waits; `jumps` change what it shows after so many seconds have passed."""

    def __init__(self, jumps: dict[float, float] | None = None, end: float = HOUR) -> None:
        self.seconds, self.offset, self.end = 0.0, 0.0, end
        self.jumps = sorted((jumps or {}).items())

    def now(self) -> datetime:
        return TEN + timedelta(seconds=self.seconds + self.offset)

    def passed(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> str:
        self.seconds += seconds
        while self.jumps and self.jumps[0][0] <= self.seconds:
            self.offset += self.jumps.pop(0)[1]
        return "SIGTERM" if self.seconds >= self.end else ""


class Runs:
    """Runs that take so long and end with a code; they remember when they began, and what was told."""

    def __init__(self, clock: Clock, seconds: float = 0.0, **ending: object) -> None:
        self.clock, self.seconds, self.ending = clock, seconds, ending
        self.began: list[str] = []
        self.told: list[Tick] = []

    def __call__(self, one: Experiment, due: datetime) -> Tick:
        self.began.append(f"{one.path.stem} {self.clock.now():%H:%M:%S}")
        self.clock.wait(self.seconds)
        return replace(Tick(one.name, shown(due), shown(self.clock.now()), RAN), **self.ending)  # type: ignore[arg-type]

    @property
    def missed(self) -> list[tuple[int, str]]:
        return [(tick.count, tick.why) for tick in self.told if tick.state == MISSED]


@pytest.fixture
def walk() -> Callable[..., set[int]]:
    def run(runs: Runs, *experiments: Experiment, last: dict[str, datetime] | None = None, limit: float | None = None):
        return conduct(experiments or (experiment(),), runs, runs.clock, runs.told.append, last=last or {}, limit=limit)

    return run


def test_what_is_due_is_run_again_and_again_until_a_signal(walk) -> None:
    runs = Runs(Clock())
    assert walk(runs) == {0}
    assert runs.began == [f"kill 10:{minute}:00" for minute in (10, 20, 30, 40, 50)] + ["kill 11:00:00"]
    assert runs.missed == []


def test_nothing_is_run_at_once_so_that_a_scheduler_which_crashes_harms_no_more_than_one_that_does_not(walk) -> None:
    runs = Runs(Clock(end=500))
    assert walk(runs) == set()
    assert runs.began == []


def test_what_falls_due_while_a_run_goes_on_is_counted_and_not_made_up_for(walk) -> None:
    runs = Runs(Clock(), seconds=1500)
    walk(runs)
    assert runs.began == ["kill 10:10:00", "kill 10:40:00"]
    assert runs.missed == [(2, "a run went on"), (2, "a run went on")]


def test_what_an_earlier_scheduler_left_undone_is_counted_and_not_made_up_for(walk) -> None:
    runs = Runs(Clock(end=700))
    walk(runs, last={"shop/kill": TEN - timedelta(hours=2)})
    assert runs.began == ["kill 10:10:00"]
    assert runs.missed == [(12, "the scheduler was away")]


def test_a_clock_that_is_put_forward_misses_what_lies_between(walk) -> None:
    runs = Runs(Clock(jumps={300: 1800}, end=1200))
    walk(runs)
    assert runs.began == ["kill 10:40:00", "kill 10:50:00"]
    assert runs.missed == [(3, "the machine slept, or its clock was put forward")]


def test_a_clock_that_is_put_back_begins_anew_with_the_time_it_shows(walk) -> None:
    runs = Runs(Clock(jumps={700: -86_400}, end=1400))
    walk(runs)
    assert runs.began == ["kill 10:10:00", "kill 10:20:00"]
    assert runs.missed == []


def test_a_clock_that_is_put_back_during_a_run_begins_anew_too(walk) -> None:
    runs = Runs(Clock(jumps={580: -7200}, end=1400), seconds=30)
    walk(runs)
    assert runs.began == ["kill 10:10:00", "kill 08:20:00"]
    assert runs.missed == []


def test_a_clock_that_is_set_right_by_a_little_does_not_run_the_same_time_twice(walk) -> None:
    runs = Runs(Clock(jumps={572: -5}, end=900), seconds=2)
    walk(runs)
    assert runs.began == ["kill 10:10:00"]
    assert runs.missed == []


def test_two_that_are_due_together_are_run_one_after_the_other(walk) -> None:
    runs = Runs(Clock(end=1500), seconds=90)
    walk(runs, experiment("a"), experiment("b"))
    assert runs.began == ["a 10:10:00", "b 10:11:30", "a 10:20:00", "b 10:21:30"]
    assert runs.missed == []


def test_one_that_waits_for_another_is_run_once_however_often_it_fell_due(walk) -> None:
    runs = Runs(Clock(end=1800), seconds=1000)
    walk(runs, experiment("a"), experiment("b"))
    assert runs.began == ["a 10:10:00", "b 10:26:40"]
    assert runs.missed == [(1, "a run went on"), (3, "a run went on")]


def test_it_ends_after_so_long_between_two_runs(walk) -> None:
    runs = Runs(Clock(end=10 * HOUR))
    walk(runs, limit=1300)
    assert runs.began == ["kill 10:10:00", "kill 10:20:00"]
    assert runs.clock.seconds == pytest.approx(1300)


def test_what_is_refused_is_tried_again_when_it_is_due_again_and_the_worst_is_remembered(walk) -> None:
    runs = Runs(Clock(end=1300), state=REFUSED, why="the lever is on", exit=4)
    assert walk(runs) == {4}
    assert [tick.state for tick in runs.told] == [REFUSED, REFUSED]


def test_something_that_could_not_be_undone_ends_it(walk) -> None:
    runs = Runs(Clock(), verdict="DIRTY", exit=6, last=True)
    assert walk(runs) == {6}
    assert runs.began == ["kill 10:10:00"]
