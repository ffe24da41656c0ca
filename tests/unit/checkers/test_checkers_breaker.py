from __future__ import annotations

import pytest

from harness.checkers import breaker, series
from harness.model.history import Sample
from harness.model.verdict import State

PROMISE = {"dependency": "registry", "within": 5.0}


@pytest.fixture
def caller(sampled):
    """Build one caller's samples, one a second: `states` by second, calls, answers and attempts per second."""

    def build(pod="a", *, opens=12, half=18, closes=25, calls=5, answered=0, tried=None, fast=3):
        def state(at):
            if opens is None or at < opens:
                return 0
            return 2 if at < half else 1 if at < closes else 0

        during = range(31)
        failing = [at for at in during if 10 <= at <= 20]
        made = {at: calls * (at + 1) for at in during}
        good = {at: sum(answered if n in failing else calls for n in during if n <= at) for at in during}
        lost = {at: sum(calls - answered if tried is None else tried for n in failing if n <= at) for at in during}
        return [
            *sampled("breaker/registry", [(at, state(at)) for at in during], pod=pod),
            *sampled("client_calls/registry", made.items(), pod=pod),
            *sampled("client_attempts/registry", good.items(), pod=pod, outcome="ok"),
            *sampled("client_attempts/registry", lost.items(), pod=pod, outcome="timeout"),
            *sampled("breaker_fast_failures/registry", [(at, fast * max(0, at - 12)) for at in during], pod=pod),
        ]

    return build


def test_a_breaker_that_opens_in_time_and_closes_holds(run, caller):
    found = breaker.check(run(samples=[*caller("a"), *caller("b")]), {**PROMISE, "fast-failures": True})
    assert (found.state, found.summary) == (State.HELD, "2 of 2 opened, closed again")
    assert (found.baseline, found.recovery) == ("closed", "closed")


def test_a_breaker_that_never_opens_breaks_it_when_enough_calls_failed(run, caller):
    found = breaker.check(run(samples=caller(opens=None)), PROMISE)
    assert (found.state, found.summary) == (State.BROKEN, "a never opened although 50 calls failed")


def test_a_breaker_that_had_no_reason_to_open_is_unknown(run, caller):
    found = breaker.check(run(samples=caller(opens=None, answered=5)), PROMISE)
    assert found.state is State.UNKNOWN
    assert found.summary == "no breaker had to open: of 50 calls of one caller at most 0 failed"
    few = breaker.check(run(samples=caller(opens=None, answered=4)), PROMISE)
    assert few.state is State.UNKNOWN


def test_one_caller_that_stays_closed_under_failures_breaks_it(run, caller):
    assert breaker.check(run(samples=[*caller("a"), *caller("b", opens=None)]), PROMISE).state is State.BROKEN
    idle = caller("b", opens=None, calls=0)
    assert breaker.check(run(samples=[*caller("a"), *idle]), PROMISE).state is State.HELD


def test_a_late_breaker_breaks_it_only_when_even_its_last_closed_sample_was_late(run, caller):
    assert breaker.check(run(samples=caller(opens=16, half=18)), PROMISE).state is State.HELD
    found = breaker.check(run(samples=caller(opens=17, half=18)), PROMISE)
    assert (found.state, found.summary) == (State.BROKEN, "a opened only 6 s after the injection")


def test_a_breaker_open_at_the_first_sample_is_in_time(run, caller):
    assert breaker.check(run(samples=caller(opens=10)), PROMISE).detail["a"]["opened_after"] == [0.0, 0.0]


def test_requests_that_leak_through_an_open_breaker_break_it(run, caller):
    leaking = {**PROMISE, "max-upstream-attempts": 3}
    found = breaker.check(run(samples=caller()), leaking)
    assert (found.state, found.summary) == (State.BROKEN, "a sent 25 requests while open, more than 3")
    assert breaker.check(run(samples=caller(tried=0)), leaking).state is State.HELD
    assert "<= 3 attempts" in found.target


def test_an_open_breaker_that_rejects_nothing_breaks_fast_failure(run, caller):
    found = breaker.check(run(samples=caller(fast=0)), {**PROMISE, "fast-failures": True})
    assert (found.state, found.summary) == (State.BROKEN, "no call was rejected while the breaker was open")
    uncounted = [sample for sample in caller() if "fast" not in sample.series]
    assert breaker.check(run(samples=uncounted), {**PROMISE, "fast-failures": True}).state is State.UNKNOWN


def test_a_breaker_that_does_not_close_breaks_it_after_its_time(run, caller):
    found = breaker.check(run(samples=caller(half=99)), {**PROMISE, "closes-within": 5.0})
    assert (found.state, found.summary) == (State.BROKEN, "a was still open 10 s after the healing")
    found = breaker.check(run(samples=caller(closes=99)), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "a was half-open when the run ended")
    assert breaker.check(run(samples=caller(half=99)), {**PROMISE, "closes": False}).state is State.HELD


def test_a_breaker_promised_to_stay_closed_breaks_when_it_opens(run, caller):
    closed = {**PROMISE, "opens": False}
    assert breaker.check(run(samples=caller()), closed).summary == "a opened"
    idle = breaker.check(run(samples=caller(opens=None, calls=0)), closed)
    assert (idle.state, idle.summary) == (State.UNKNOWN, "no call was made towards registry")
    found = breaker.check(run(samples=caller(opens=None, answered=5)), closed)
    assert (found.state, found.target, found.summary) == (State.HELD, "stays closed", "stayed closed")


def test_unsampled_breakers_are_unknown(run, caller):
    assert breaker.check(run(), PROMISE).summary == "no breaker towards registry was sampled"
    early = [sample for sample in caller() if sample.time < 5]
    assert breaker.check(run(samples=early), PROMISE).state is State.UNKNOWN
    assert breaker.check(run(samples=caller(), window=None), PROMISE).state is State.UNKNOWN


def test_a_counter_that_restarts_counts_from_zero_again():
    points = [(0.0, 5.0), (1.0, 8.0), (2.0, 2.0), (3.0, 4.0)]
    assert series.increase(points, 0.0, 3.0) == 7.0
    assert series.increase(points, -5.0, 3.0) == 7.0
    assert series.increase(points, 5.0, 9.0) == 0.0


def test_label_sets_of_one_pod_are_added_as_they_change():
    samples = [
        Sample(0, "s", 1, {"pod": "a", "outcome": "ok"}),
        Sample(1, "s", 5, {"pod": "a", "outcome": "reset"}),
        Sample(2, "s", 2, {"pod": "a", "outcome": "ok"}),
        Sample(3, "s", None, {"pod": "a", "outcome": "ok"}),
    ]
    assert series.by_pod(samples, "s") == {"a": [(0, 1), (1, 6), (2, 7)]}
    assert series.by_pod(samples, "s", outcomes=("reset",)) == {"a": [(1, 5)]}


def test_a_breaker_that_closed_too_late_breaks_it(run, caller):
    late = [*caller(closes=25)]
    found = breaker.check(run(samples=late), {**PROMISE, "closes-within": 3.0})
    assert (found.state, found.summary) == (State.BROKEN, "a was still half-open 4 s after the healing")
    assert breaker.check(run(samples=late), {**PROMISE, "closes-within": 4.0}).state is State.HELD


def test_half_of_the_calls_failing_is_reason_enough_to_open(run, caller):
    assert breaker.check(run(samples=caller(opens=None, calls=10, answered=5)), PROMISE).state is State.BROKEN
    found = breaker.check(run(samples=caller(opens=None, calls=12, answered=7)), PROMISE)
    assert (found.state, found.summary) == (
        State.UNKNOWN,
        "no breaker had to open: of 120 calls of one caller at most 50 failed",
    )


def test_breakers_that_were_silent_for_a_part_of_the_window_are_unknown(run, caller):
    seen_once = [sample for sample in caller(opens=None, answered=5) if sample.time in (9, 12)]
    found = breaker.check(run(samples=seen_once, window=(10.0, 70.0)), {**PROMISE, "opens": False})
    assert (found.state, found.summary) == (State.UNKNOWN, "no breaker was sampled for 58 s of the window")
    other = [*caller("b", opens=None, answered=5), *(s for s in caller(opens=None) if not 12 < s.time < 29)]
    found = breaker.check(run(samples=other, window=(10.0, 30.0)), {**PROMISE, "opens": False})
    assert (found.state, found.summary) == (State.UNKNOWN, "a was not sampled for 17 s of the window")
    assert breaker.check(run(samples=other, window=(10.0, 30.0)), PROMISE).state is State.UNKNOWN


def test_a_breaker_that_was_open_before_the_fault_shows_nothing(run, caller):
    for promise in (PROMISE, {**PROMISE, "opens": False}):
        found = breaker.check(run(samples=caller(opens=4)), promise)
        assert (found.state, found.summary) == (State.UNKNOWN, "a was not seen closed before it opened")


def test_the_probe_of_a_half_open_breaker_is_no_leak(run, caller):
    probing = [*caller(tried=0)]
    attempts = [Sample(18, "client_attempts/registry", 9, {"pod": "a", "outcome": "reset"})]
    zero = [Sample(0, "client_attempts/registry", 0, {"pod": "a", "outcome": "reset"})]
    found = breaker.check(run(samples=[*probing, *zero, *attempts]), {**PROMISE, "max-upstream-attempts": 0})
    assert found.state is State.HELD


def test_a_pod_that_vanished_takes_its_breaker_along(run, caller):
    gone = [sample for sample in caller("b", half=99) if sample.time < 14]
    found = breaker.check(run(samples=[*caller("a"), *gone], end=40.0), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "b was last seen open")
    assert found.recovery == "closed"


def test_the_reason_why_no_breaker_was_sampled_is_told(run, sampled):
    away = sampled("prometheus", [(30, None)], error="connection refused")
    assert breaker.check(run(samples=away), PROMISE).summary == (
        "no breaker towards registry was sampled: connection refused"
    )
