"""The breaker opens on either rule, admits one probe, and learns nothing from stragglers."""

from __future__ import annotations

import pytest

from claude_services.breaker import Admission, CircuitOpen, Limits, Outcome, State, build


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """A breaker with a clock that the test moves."""

    def __init__(self, mode: str = "fixed") -> None:
        self.clock = Clock()
        self.moves: list[tuple[State, State]] = []
        self.breaker = build(
            mode, "registry", Limits(), clock=self.clock, moved=lambda was, to: self.moves.append((was, to))
        )

    def call(self, outcome: Outcome, *, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.record(self.breaker.admit(), outcome)

    def trip(self) -> None:
        self.call(Outcome.FAILED, times=5)


def test_five_failures_in_a_row_open_it() -> None:
    rig = Rig()
    rig.call(Outcome.FAILED, times=4)
    assert rig.breaker.state is State.CLOSED
    rig.call(Outcome.FAILED)
    assert rig.breaker.state is State.OPEN
    with pytest.raises(CircuitOpen):
        rig.breaker.admit()


def test_a_success_in_between_starts_the_row_again() -> None:
    rig = Rig()
    rig.call(Outcome.FAILED, times=4)
    rig.call(Outcome.SUCCEEDED)
    rig.call(Outcome.FAILED, times=4)
    assert rig.breaker.state is State.CLOSED


def test_half_of_twenty_calls_in_the_window_open_it() -> None:
    rig = Rig()
    for _ in range(9):
        rig.call(Outcome.SUCCEEDED)
        rig.call(Outcome.FAILED)
    rig.call(Outcome.SUCCEEDED)
    assert rig.breaker.state is State.CLOSED
    rig.call(Outcome.FAILED)
    assert rig.breaker.state is State.OPEN


def test_a_bad_window_opens_it_even_when_its_last_call_succeeds() -> None:
    rig = Rig()
    for _ in range(9):
        rig.call(Outcome.SUCCEEDED)
        rig.call(Outcome.FAILED)
    rig.call(Outcome.FAILED)
    assert rig.breaker.state is State.CLOSED
    rig.call(Outcome.SUCCEEDED)
    assert rig.breaker.state is State.OPEN


def test_fewer_than_twenty_calls_are_no_bad_window() -> None:
    rig = Rig()
    for _ in range(9):
        rig.call(Outcome.FAILED)
        rig.call(Outcome.SUCCEEDED)
    assert rig.breaker.state is State.CLOSED


def test_calls_older_than_the_window_are_forgotten() -> None:
    rig = Rig()
    for _ in range(9):
        rig.call(Outcome.SUCCEEDED)
        rig.call(Outcome.FAILED)
    rig.clock.now = 31.0
    rig.call(Outcome.SUCCEEDED)
    rig.call(Outcome.FAILED)
    assert rig.breaker.state is State.CLOSED


def test_it_stays_open_until_the_recovery_time_is_over() -> None:
    rig = Rig()
    rig.trip()
    rig.clock.now = 29.9
    with pytest.raises(CircuitOpen):
        rig.breaker.admit()
    rig.clock.now = 30.0
    rig.breaker.admit()
    assert rig.breaker.state is State.HALF_OPEN


def test_half_open_admits_exactly_one_probe() -> None:
    rig = Rig()
    rig.trip()
    rig.clock.now = 30.0
    probe = rig.breaker.admit()
    for _ in range(20):
        with pytest.raises(CircuitOpen):
            rig.breaker.admit()
    rig.breaker.record(probe, Outcome.SUCCEEDED)
    assert rig.breaker.state is State.CLOSED


def test_a_failed_probe_opens_it_for_another_whole_time() -> None:
    rig = Rig()
    rig.trip()
    rig.clock.now = 30.0
    rig.call(Outcome.FAILED)
    assert rig.breaker.state is State.OPEN
    rig.clock.now = 59.9
    with pytest.raises(CircuitOpen):
        rig.breaker.admit()
    rig.clock.now = 60.0
    rig.call(Outcome.SUCCEEDED)
    assert rig.moves[-2:] == [(State.OPEN, State.HALF_OPEN), (State.HALF_OPEN, State.CLOSED)]


def test_an_abandoned_probe_makes_room_for_the_next() -> None:
    rig = Rig()
    rig.trip()
    rig.clock.now = 30.0
    rig.call(Outcome.ABANDONED)
    assert rig.breaker.state is State.HALF_OPEN
    rig.call(Outcome.SUCCEEDED)
    assert rig.breaker.state is State.CLOSED


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
def test_a_straggler_of_an_earlier_era_changes_nothing(outcome: Outcome) -> None:
    rig = Rig()
    straggler = rig.breaker.admit()
    rig.trip()
    rig.clock.now = 30.0
    rig.breaker.admit()
    rig.breaker.record(straggler, outcome)
    assert rig.breaker.state is State.HALF_OPEN


def test_the_literal_one_admits_every_waiting_call_when_half_open() -> None:
    rig = Rig("literal")
    rig.trip()
    rig.clock.now = 30.0
    assert [rig.breaker.admit() for _ in range(20)] == [Admission(0)] * 20


def test_the_literal_one_has_no_window() -> None:
    rig = Rig("literal")
    for _ in range(100):
        rig.call(Outcome.SUCCEEDED)
        rig.call(Outcome.FAILED, times=4)
    assert rig.breaker.state is State.CLOSED


def test_the_literal_one_lets_a_straggler_restart_its_timer() -> None:
    rig = Rig("literal")
    straggler = rig.breaker.admit()
    rig.trip()
    rig.clock.now = 20.0
    rig.breaker.record(straggler, Outcome.FAILED)
    rig.clock.now = 30.0
    with pytest.raises(CircuitOpen):
        rig.breaker.admit()


def test_the_weakened_one_never_opens() -> None:
    rig = Rig("never")
    rig.call(Outcome.FAILED, times=100)
    assert rig.breaker.state is State.CLOSED


def test_an_unknown_mode_stops_the_start() -> None:
    with pytest.raises(ValueError, match="fixed, literal, never"):
        Rig("sometimes")
