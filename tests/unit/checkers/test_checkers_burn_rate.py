from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checkers import burn_rate
from harness.model.verdict import State

RATIO = st.floats(0, 1)
OBJECTIVE = st.floats(0.5, 0.99999)


@given(OBJECTIVE)
def test_errors_at_the_objective_burn_the_budget_once(objective):
    assert burn_rate.speed(1 - objective, objective) == pytest.approx(1.0)


@given(RATIO, RATIO, OBJECTIVE)
def test_more_errors_never_burn_slower(one, other, objective):
    low, high = sorted((one, other))
    assert burn_rate.speed(low, objective) <= burn_rate.speed(high, objective)


def test_a_promise_of_everything_has_no_budget():
    assert burn_rate.speed(0.0, 1.0) == 0.0
    assert burn_rate.speed(1e-9, 1.0) == math.inf


PROMISE = {"objective": 0.999, "max": 14.4}
SERIES = "prometheus/error-ratio"


def ratios(sampled, value):
    return sampled(SERIES, [(at, value(at)) for at in range(0, 41, 2)])


def test_a_slow_burn_holds(run, sampled):
    found = burn_rate.check(run(samples=ratios(sampled, lambda at: 0.002)), PROMISE)
    assert (found.state, found.in_fault, found.baseline) == (State.HELD, "2.0 x", "2.0 x")


def test_a_fast_burn_breaks_it_at_its_peak(run, sampled):
    found = burn_rate.check(run(samples=ratios(sampled, lambda at: 0.05 if at == 16 else 0.0)), PROMISE)
    assert (found.state, found.summary) == (State.BROKEN, "burned 50.0 x, 6 s after the injection")


def test_a_burn_outside_the_window_is_shown_only(run, sampled):
    found = burn_rate.check(run(samples=ratios(sampled, lambda at: 0.5 if at > 32 else 0.0)), PROMISE)
    assert (found.state, found.recovery) == (State.HELD, "500.0 x")


@pytest.mark.parametrize("value", [None, math.nan])
def test_no_data_is_unknown_never_zero(run, sampled, value):
    found = burn_rate.check(run(samples=ratios(sampled, lambda at: value)), PROMISE)
    assert (found.state, found.in_fault) == (State.UNKNOWN, "no data")


def test_silence_inside_the_window_is_unknown(run, sampled):
    found = burn_rate.check(run(samples=sampled(SERIES, [(10, 0.0)]), window=(10.0, 40.0)), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "Prometheus was silent for 30 s of the window")


def test_without_a_window_nothing_is_concluded(run):
    assert burn_rate.check(run(window=None), PROMISE).state is State.UNKNOWN


def test_errors_of_the_windows_end_are_seen_only_after_it(run, sampled):
    found = burn_rate.check(run(samples=ratios(sampled, lambda at: 0.05 if 21 < at < 31 else 0.0)), PROMISE)
    assert (found.state, found.summary) == (State.BROKEN, "burned 50.0 x, 12 s after the injection")


def test_a_burn_just_above_its_limit_is_told_apart_from_it(run, sampled):
    found = burn_rate.check(run(samples=ratios(sampled, lambda at: 0.01442)), PROMISE)
    assert found.summary.startswith("burned 14.42 x")


def test_the_reason_why_there_is_no_data_is_told(run, sampled):
    away = sampled("prometheus", [(30, None)], error="connection refused")
    assert burn_rate.check(run(samples=away), PROMISE).summary == (
        "Prometheus gave no data for the window: connection refused"
    )
