from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.checkers import burn_rate, slo
from harness.model.verdict import State

RATIO = st.floats(0, 1)
OBJECTIVE = st.floats(0.5, 0.99999)
DAY = 86400.0


@pytest.mark.parametrize(
    ("share", "days", "window", "factor"),
    [
        (0.02, 30, 3600, 14.4),
        (0.05, 30, 6 * 3600, 6),
        (0.1, 30, DAY, 3),
        (0.1, 30, 3 * DAY, 1),
        (0.02, 28, 3600, 13.44),
    ],
)
def test_factors_are_those_of_the_workbook(share, days, window, factor):
    assert slo.factor(share, days * DAY, window) == pytest.approx(factor)


def test_a_total_outage_is_detected_in_under_a_minute():
    assert slo.detection_time(1.0, 0.999, 14.4, 3600) == pytest.approx(51.84)
    assert slo.detection_time(0.001, 0.999, 14.4, 3600) == math.inf


@given(OBJECTIVE)
def test_errors_at_the_objective_burn_the_budget_once(objective):
    assert slo.burn_rate(1 - objective, objective) == pytest.approx(1.0)


@given(RATIO, RATIO, OBJECTIVE)
def test_more_errors_never_burn_slower(one, other, objective):
    low, high = sorted((one, other))
    assert slo.burn_rate(low, objective) <= slo.burn_rate(high, objective)


@given(RATIO, OBJECTIVE, st.floats(1, 1e6))
def test_burning_for_a_window_spends_rate_times_window_of_the_period(ratio, objective, total):
    window, period = 3600.0, 30 * DAY
    spent = slo.budget_spent(ratio * total * window / period, total, objective)
    assert spent == pytest.approx(slo.burn_rate(ratio, objective) * window / period, rel=1e-6, abs=1e-12)


@given(RATIO, RATIO, OBJECTIVE, st.floats(0.1, 20))
def test_an_alert_needs_both_windows(long, short, objective, threshold):
    fires = slo.fires(long, short, objective, threshold)
    assert fires == (slo.fires(long, 1.0, objective, threshold) and slo.fires(1.0, short, objective, threshold))
    assume(not math.isclose(slo.burn_rate(min(long, short), objective), threshold, rel_tol=1e-9))
    assert fires == (min(slo.burn_rate(long, objective), slo.burn_rate(short, objective)) > threshold)


@given(st.floats(0.01, 1), OBJECTIVE, st.floats(0.1, 20))
def test_a_constant_ratio_lifts_the_window_exactly_at_its_detection_time(ratio, objective, threshold):
    time = slo.detection_time(ratio, objective, threshold, 3600)
    assert (time == math.inf) == (not slo.fires(ratio, ratio, objective, threshold))
    if time != math.inf:
        assert slo.burn_rate(ratio * time / 3600, objective) == pytest.approx(threshold)


def test_a_promise_of_everything_has_no_budget():
    assert slo.burn_rate(0.0, 1.0) == 0.0
    assert slo.burn_rate(1e-9, 1.0) == math.inf
    assert slo.budget_spent(0, 0, 0.99) == 0.0


PROMISE = {"objective": 0.999, "max": 14.4}
SERIES = "prometheus/error-ratio"


def ratios(sampled, value):
    return sampled(SERIES, [(at, value(at)) for at in range(0, 31, 2)])


def test_a_slow_burn_holds(run, sampled):
    found = burn_rate.check(run(samples=ratios(sampled, lambda at: 0.002)), PROMISE)
    assert (found.state, found.in_fault, found.baseline) == (State.HELD, "2.0 x", "2.0 x")


def test_a_fast_burn_breaks_it_at_its_peak(run, sampled):
    found = burn_rate.check(run(samples=ratios(sampled, lambda at: 0.05 if at == 16 else 0.0)), PROMISE)
    assert (found.state, found.summary) == (State.BROKEN, "burned 50.0 x, 6 s after the injection")


def test_a_burn_outside_the_window_is_shown_only(run, sampled):
    found = burn_rate.check(run(samples=ratios(sampled, lambda at: 0.5 if at > 22 else 0.0)), PROMISE)
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
