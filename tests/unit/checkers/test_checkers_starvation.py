"""A machine that others took away excuses what slowness makes, at that time, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.checkers import availability, breaker, burn_rate, cause, hypothesis, latency, recovery, retries
from harness.model.history import History, Sample
from harness.model.verdict import State

Run = Callable[..., History]
SHARES = {"idle": 0.02, "others": 0.5, "steal": 0.0, "cluster": 0.4}
CALM = {"idle": 0.7, "others": 0.0, "steal": 0.0, "cluster": 0.2}
READY = Sample(0.0, "ready/shop/Deployment/mail", 2.0, {"desired": "2"})


def machine(begin: int, end: int, until: int = 31) -> list[Sample]:
    """Read the machine once a second; others have half of it from `begin` to `end`."""
    return [
        Sample(float(time), f"machine/{name}", value)
        for time in range(1, until)
        for name, value in (SHARES if begin < time <= end else CALM).items()
    ]


def failing(since: float, until: float, **how: Any) -> Callable[[float], dict[str, Any]]:
    return lambda at: how if since <= at < until else {}


TIMED_OUT = {"status": 503, "took": 0.7, "because": "timeout: registry"}
OPEN = {"status": 503, "took": 0.002, "because": "breaker open: registry"}
REFUSED = {"status": 503, "took": 0.002, "response_flags": "UF,URX"}
RATIO = {"ratio": 0.95}


@pytest.mark.parametrize("how", [TIMED_OUT, OPEN, {"status": 0, "took": 10.0, "unanswered": "timed out"}])
def test_calls_that_met_a_time_limit_on_a_starved_machine_are_unknown_and_the_machine_is_named(run: Run, ops, how):
    found = availability.check(run(operations=ops(failing(11, 18, **how)), samples=machine(10, 20)), RATIO)
    assert found.state is State.UNKNOWN
    assert "others took 50 % of the machine's CPU" in found.summary


def test_calls_that_were_slow_on_a_starved_machine_are_explained_all_the_same(run: Run, ops):
    history = run(operations=ops(failing(11, 18, took=0.7)), samples=machine(10, 20))
    found = latency.check(history, {"p95": 0.5})
    assert found.state is State.UNKNOWN
    assert "operations took longer than 500 ms" in cause.why(history, [found])


@pytest.mark.parametrize(("until", "state"), [(20, State.UNKNOWN), (13, State.BROKEN)])
def test_a_starved_second_excuses_one_second_of_what_was_under_way(run: Run, ops, until: int, state: State):
    history = run(operations=ops(failing(11, 18, took=6.3)), samples=machine(10, until))
    assert latency.check(history, {"p95": 4.0}).state is state


@pytest.mark.parametrize("how", [TIMED_OUT, OPEN, REFUSED])
def test_the_same_calls_on_a_machine_that_nobody_took_are_broken(run: Run, ops, how):
    found = availability.check(run(operations=ops(failing(11, 18, **how)), samples=machine(0, 0)), RATIO)
    assert found.state is State.BROKEN


def test_calls_that_were_refused_at_once_are_broken_however_busy_the_machine_was(run: Run, ops):
    found = availability.check(run(operations=ops(failing(11, 18, **REFUSED)), samples=machine(10, 20)), RATIO)
    assert found.state is State.BROKEN


def test_a_machine_that_was_taken_long_before_excuses_nothing(run: Run, ops):
    found = availability.check(run(operations=ops(failing(16, 19, **TIMED_OUT)), samples=machine(0, 4)), RATIO)
    assert found.state is State.BROKEN


def test_a_breaker_that_opened_on_a_starved_machine_refuses_a_while_longer(run: Run, ops):
    found = availability.check(run(operations=ops(failing(14, 19, **OPEN)), samples=machine(10, 12)), RATIO)
    assert found.state is State.UNKNOWN


def test_a_promise_that_was_kept_on_a_starved_machine_is_kept(run: Run, ops):
    assert availability.check(run(operations=ops(), samples=machine(10, 20)), RATIO).state is State.HELD
    assert latency.check(run(operations=ops(), samples=machine(10, 20)), {"p95": 1.0}).state is State.HELD


@pytest.mark.parametrize(("samples", "state"), [(machine(10, 20), State.UNKNOWN), (machine(0, 0), State.BROKEN)])
def test_a_quantile_above_its_limit_is_unknown_where_others_took_the_time(run: Run, ops, samples, state: State):
    found = latency.check(run(operations=ops(failing(11, 18, took=1.5)), samples=samples), {"p95": 1.0})
    assert found.state is state
    assert ("others took" in found.summary) is (state is State.UNKNOWN)


@pytest.mark.parametrize(
    ("how", "state"),
    [({"attempts": 2, "took": 1.6}, State.UNKNOWN), ({"attempts": 2, "took": 0.01}, State.BROKEN)],
)
def test_attempts_that_a_starved_machine_made_late_are_unknown_and_refused_ones_broken(run: Run, ops, how, state):
    seen = run(operations=ops(failing(11, 18, **how)), samples=machine(10, 20))
    assert retries.check(seen, {"max-attempts": 1.01, "min-retried": 0}).state is state


@pytest.mark.parametrize(("taken", "state"), [(4, State.UNKNOWN), (1, State.BROKEN)])
def test_a_second_that_others_took_excuses_one_second_of_recovery(run: Run, ops, taken: int, state: State):
    seen = run(operations=ops(failing(20, 25, status=503)), samples=[*machine(20, 20 + taken), READY])
    found = recovery.check(seen, {"within": 3.0})
    assert found.state is state


@pytest.mark.parametrize(("samples", "state"), [(machine(10, 20), State.UNKNOWN), (machine(0, 0), State.BROKEN)])
def test_errors_that_burned_the_budget_of_a_starved_window_are_unknown(run: Run, sampled, samples, state: State):
    ratio = sampled("prometheus/error-ratio", [(time, 0.5 if 12 < time < 18 else 0.0) for time in range(31)])
    assert burn_rate.check(run(samples=[*samples, *ratio]), {"objective": 0.999}).state is state


@pytest.mark.parametrize(("samples", "state"), [(machine(20, 29), State.UNKNOWN), (machine(0, 0), State.BROKEN)])
def test_a_hypothesis_that_is_not_back_after_a_starved_recovery_is_unknown(run: Run, samples, state: State):
    answers = [
        {"time": 5.0, "phase": "settle", "name": "ready", "ok": True, "value": 2},
        {"time": 30.0, "phase": "recovery", "name": "ready", "ok": False, "value": 1},
    ]
    assert hypothesis.check(run(samples=samples, probes=answers)).state is state


@pytest.mark.parametrize(
    ("promise", "state"),
    [
        # It opened 5 s after the injection: late for one promise, at all for the other; both are about time.
        ({"within": 2.0, "closes": False}, State.UNKNOWN),
        ({"opens": False, "closes": False}, State.UNKNOWN),
    ],
)
def test_when_a_breaker_opened_is_unknown_on_a_starved_machine(run: Run, sampled, promise, state: State):
    states = sampled("breaker/registry", [(time, 2.0 if time >= 15 else 0.0) for time in range(31)], pod="a")
    calls = sampled("client_calls/registry", [(time, 10.0 * time) for time in range(31)], pod="a")
    seen = run(samples=[*machine(10, 20), *states, *calls])
    found = breaker.check(seen, {"dependency": "registry", **promise})
    assert (found.state, "others took" in found.summary) == (state, True)


def test_a_breaker_that_never_opened_is_broken_however_busy_the_machine_was(run: Run, sampled):
    states = sampled("breaker/registry", [(time, 0.0) for time in range(31)], pod="a")
    calls = sampled("client_calls/registry", [(time, 10.0 * time) for time in range(31)], pod="a")
    seen = run(samples=[*machine(10, 20), *states, *calls])
    assert breaker.check(seen, {"dependency": "registry"}).state is State.BROKEN
