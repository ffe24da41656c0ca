"""What became of the machine is noted, told where it matters, and never guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from harness.checkers import machine
from harness.model.history import History, Sample
from harness.model.verdict import State

Run = Callable[..., History]
CALM = {"idle": 0.6, "others": 0.02, "steal": 0.0, "cluster": 0.3, "harness": 0.05, "pressure": 0.1}
HOGGED = {"idle": 0.02, "others": 0.48, "steal": 0.0, "cluster": 0.45, "harness": 0.05, "pressure": 0.9}
FULL = {"idle": 0.03, "others": 0.03, "steal": 0.0, "cluster": 0.84, "harness": 0.09, "pressure": 0.9}


def second(time: float, values: dict[str, float | None], **names: str) -> list[Sample]:
    """One second's samples, the others named by `by_<name>`."""
    labels = {name.replace("_", "/", 1): share for name, share in names.items()}
    return [
        Sample(time, f"machine/{name}", value, labels if name == "others" else {}) for name, value in values.items()
    ]


def seconds(times: Iterable[float], values: dict[str, float | None], **names: str) -> list[Sample]:
    return [sample for time in times for sample in second(time, values, **names)]


@pytest.fixture
def hogged(run: Run) -> History:
    """A window from 10 to 20, of which a hog had seconds 12 to 18; it is named once, at 15."""
    return run(
        samples=[
            *seconds(range(1, 13), CALM),
            *seconds(range(13, 19), HOGGED),
            *second(15.0, HOGGED, by_yes="0.46", by_cron="0.01"),
            *seconds(range(19, 31), CALM),
        ]
    )


def test_a_reading_lasts_from_the_one_before_to_its_own_moment(run: Run) -> None:
    found = machine.readings(run(samples=[*second(1.2, CALM), *second(4.2, HOGGED, by_yes="0.46")]))
    assert [(one.start, one.end, one.idle) for one in found] == [(pytest.approx(0.2), 1.2, 0.6), (1.2, 4.2, 0.02)]
    assert found[1].names == {"yes": 0.46}


def test_only_the_machines_own_series_are_read(run: Run) -> None:
    jump = Sample(2.0, "machine/clock-jump", 3.0, {"how": "set"})
    assert machine.readings(run(samples=[jump, Sample(2.0, "breaker/registry", 2.0)])) == []


def test_labels_that_are_no_shares_name_nobody(run: Run) -> None:
    found = machine.readings(run(samples=second(1.0, CALM, by_yes="much", why="0.5")))
    assert found[0].names == {}


def test_seconds_that_others_took_are_merged(hogged: History) -> None:
    assert machine.starved(hogged) == [(12, 18)]


@pytest.mark.parametrize(
    ("values", "starved"),
    [
        ({"others": machine.TAKEN, "idle": machine.IDLE}, True),
        ({"others": machine.TAKEN - 0.01, "idle": 0.0}, False),
        ({"others": 0.9, "idle": machine.IDLE + 0.01}, False),
        ({"others": 0.04, "steal": 0.07, "idle": 0.0}, True),
        ({"others": None, "idle": 0.0}, False),
        ({"others": 0.5, "idle": None}, False),
        ({"others": 0.5, "idle": 0.0, "steal": None}, True),
    ],
    ids=["just", "too little", "some left", "the host took it", "others not seen", "idle not seen", "steal not seen"],
)
def test_a_second_is_starved_when_much_was_taken_and_nothing_left(
    run: Run, values: dict[str, float | None], starved: bool
) -> None:
    assert bool(machine.starved(run(samples=second(12.0, {**CALM, **values})))) is starved


def test_a_starved_window_is_told_with_how_much_how_long_and_who(hogged: History) -> None:
    assert machine.told(hogged, (10.0, 20.0)) == "others took 48 % of the machine's CPU for 6 of 10 s (yes)"
    assert machine.told(hogged, (13.0, 14.5)) == "others took 48 % of the machine's CPU for all 1.5 s (yes)"


def test_a_window_that_nobody_starved_needs_no_clause(hogged: History) -> None:
    assert machine.told(hogged, (0.0, 10.0)) == ""
    assert machine.told(hogged, (18.0, 30.0)) == ""


def test_a_naming_that_comes_a_little_later_still_names(run: Run) -> None:
    late = [*second(11.0, HOGGED), *second(12.0, CALM), *second(13.0, CALM, by_cc1="0.4", by_make="0.2", by_sh="0.05")]
    assert machine.told(run(samples=late), (10.0, 20.0)).endswith("(cc1, make)")
    too_late = [*second(11.0, HOGGED), *second(12.0, CALM), *second(19.0, CALM, by_cc1="0.4")]
    assert machine.told(run(samples=too_late), (10.0, 20.0)) == "others took 48 % of the machine's CPU for 1 of 10 s"


def test_what_the_host_took_is_the_hosts(run: Run) -> None:
    stolen = {**HOGGED, "others": 0.01, "steal": 0.4}
    told = machine.told(run(samples=seconds(range(11, 21), stolen)), (10.0, 20.0))
    assert told == "others took 41 % of the machine's CPU for all 10 s (the host)"


def test_the_finding_notes_before_during_and_after(hogged: History) -> None:
    found = machine.check(hogged)
    assert (found.checker, found.state, found.target) == ("machine", State.NOTED, "")
    assert found.baseline == "60 % idle"
    assert found.in_fault == "25 % idle, others 30 %"
    assert found.recovery == "60 % idle"
    assert found.summary == "others took 48 % of the machine's CPU for 6 of 10 s (yes)"
    assert found.detail["pressure"] == pytest.approx(0.58)


def test_a_calm_window_says_how_much_the_others_had_at_most(run: Run) -> None:
    samples = [*seconds(range(1, 31), CALM), *second(15.0, {**CALM, "others": 0.07})]
    assert machine.check(run(samples=samples)).summary == "others took at most 7 % of the CPU"


def test_a_machine_out_of_sight_is_said_with_the_reason(run: Run) -> None:
    found = machine.check(run(samples=[Sample(0.1, "machine/idle", None, {"why": "Docker is on another machine"})]))
    assert (found.state, found.summary) == (State.NOTED, "not seen: Docker is on another machine")
    assert machine.check(run(samples=[])).summary == "not seen"


def test_others_that_were_not_told_apart_are_not_said_to_be_none(run: Run) -> None:
    unknown = {**CALM, "others": None, "cluster": None}
    found = machine.check(run(samples=seconds(range(1, 31), unknown)))
    assert (found.summary, found.in_fault) == ("others not seen", "60 % idle")


def test_clock_jumps_and_a_late_load_are_said(run: Run, op: Any, ops: Any) -> None:
    samples = [
        *seconds(range(1, 31), CALM),
        Sample(12.5, "machine/clock-jump", 30.0, {"how": "suspended"}),
        Sample(13.5, "machine/clock-jump", -2.0, {"how": "set"}),
    ]
    operations = [*ops(), replace(op(15.0), late=True), replace(op(15.1), unsent=True)]
    assert machine.check(run(samples=samples, operations=operations)).summary == (
        "others took at most 2 % of the CPU; the machine was suspended for 30 s after 12 s; "
        "the clock was set back by 2 s after 14 s; load sent 2 late"
    )


def test_waiting_for_memory_or_disk_is_said_when_it_was_long(run: Run) -> None:
    samples = seconds(range(1, 31), {**CALM, "pressure-memory": 0.4, "pressure-io": 0.1})
    summary = machine.check(run(samples=samples)).summary
    assert summary == "others took at most 2 % of the CPU; tasks waited for memory up to 40 % of a second"


def test_a_run_without_a_window_is_noted_as_a_whole(run: Run) -> None:
    found = machine.check(run(samples=seconds(range(1, 31), HOGGED), window=None, faults=[]))
    assert (found.baseline, found.in_fault, found.recovery) == ("", "2 % idle, others 48 %", "")
    assert found.summary == "others took 48 % of the machine's CPU for 30 of 31 s"


def test_a_window_shorter_than_a_reading_has_the_reading_it_lies_in(run: Run) -> None:
    found = machine.check(run(samples=seconds(range(1, 31), HOGGED), window=(10.2, 10.3)))
    assert found.in_fault == "2 % idle, others 48 %"
    assert found.summary == "others took 48 % of the machine's CPU for all 100 ms"


def test_a_machine_that_cluster_and_load_fill_is_saturated(run: Run) -> None:
    full = run(samples=[*seconds(range(1, 11), FULL), *seconds(range(11, 31), CALM)])
    assert machine.saturated(full) == (
        "cluster and load leave 3 % of the machine's CPU idle before the fault (cluster 84 %, harness and load 9 %)"
    )


@pytest.mark.parametrize("values", [CALM, HOGGED, {**FULL, "others": None}, {**FULL, "steal": 0.1}])
def test_what_others_took_or_what_was_not_seen_saturates_nothing(run: Run, values: dict[str, float | None]) -> None:
    assert machine.saturated(run(samples=seconds(range(1, 11), values))) == ""


def test_only_the_time_after_settling_counts_as_before_the_fault(run: Run) -> None:
    samples = [*seconds(range(1, 6), CALM), *seconds(range(6, 11), FULL)]
    assert machine.saturated(run(samples=samples, steady_from=5.0))
    assert not machine.saturated(run(samples=samples))
    assert not machine.saturated(run(samples=samples))


def test_before_anything_was_injected_all_of_the_load_counts(run: Run) -> None:
    assert machine.saturated(run(samples=seconds(range(1, 31), FULL), window=None, faults=[]))
