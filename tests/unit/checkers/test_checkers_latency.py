from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checkers import census, latency
from harness.model.verdict import State

PROMISE = {"p95": 0.1, "p99": 1.0}


def test_quick_answers_hold(run):
    found = latency.check(run(), PROMISE)
    assert (found.state, found.target) == (State.HELD, "p95 <= 100 ms, p99 <= 1 s")
    assert found.in_fault == "20 ms, 20 ms"


def test_a_slow_tail_breaks_the_quantile_it_reaches_and_no_other(run, ops):
    found = latency.check(run(operations=ops(lambda at: {"took": 0.5 if 12 <= at < 13 else 0.02})), PROMISE)
    assert (found.state, found.summary) == (State.BROKEN, "p95 500 ms above 100 ms")


def test_a_breach_by_a_hair_is_told_apart_from_its_limit(run, ops):
    found = latency.check(run(operations=ops(lambda at: {"took": 1.004 if 12 <= at < 14 else 0.02})), {"p95": 1.0})
    assert found.summary == "p95 1.004 s above 1 s"


def test_a_failure_counts_with_the_time_its_caller_waited(run, ops):
    found = latency.check(run(operations=ops(lambda at: {"status": 0, "took": 10.0} if 12 <= at < 13 else {})), PROMISE)
    assert found.state is State.BROKEN


def test_time_runs_from_the_intended_send(run, ops, op):
    late = [op(made.intended, took=5.0) if 12 <= made.intended < 14 else made for made in ops()]
    assert latency.check(run(operations=late), {"p50": 0.1, "p99": 1.0}).state is State.BROKEN


def test_a_gap_is_unknown_unless_the_breach_is_certain(run, ops):
    gap = latency.check(run(operations=ops(lambda at: None if 15 <= at < 17 else {})), PROMISE)
    assert gap.state is State.UNKNOWN
    slow = ops(lambda at: None if 15 <= at < 17 else {"took": 2.0 if 12 <= at < 14 else 0.02})
    assert latency.check(run(operations=slow), PROMISE).state is State.BROKEN


def test_too_few_operations_are_unknown(run, ops):
    few = ops(lambda at: {"took": 9.0} if 12 <= at < 13 else None)
    assert latency.check(run(operations=few, load_rate=None), PROMISE).state is State.UNKNOWN


def test_no_data_is_unknown(run):
    assert latency.check(run(window=None), PROMISE).state is State.UNKNOWN
    assert latency.check(run(operations=[], load_rate=None), PROMISE).summary.startswith("0 operations")


@pytest.mark.parametrize(
    ("count", "q", "rank"), [(100, 0.95, 95), (100, 0.99, 99), (1, 0.99, 1), (30, 0.99, 30), (3, 0.5, 2)]
)
def test_the_rank_is_the_nearest_that_covers_the_share(count, q, rank):
    assert census.rank(count, q) == rank


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_the_smallest_value_that_covers_its_share(values, q):
    found = census.quantile(sorted(values), q)
    assert sum(value <= found for value in values) >= q * len(values) - 1e-9
    below = [value for value in values if value < found]
    assert not below or sum(value <= max(below) for value in values) < q * len(values)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=100), st.floats(0, 10), st.integers(0, 50))
def test_a_breach_that_is_certain_stays_one_whatever_the_missing_operations_were(values, limit, missing):
    expected = len(values) + missing
    certain = latency._certainly_above(sorted(values), limit, 0.95, expected=expected)
    best = sorted([*values, *[-math.inf] * missing])
    assert certain is (census.quantile(best, 0.95) > limit)


def test_operations_that_were_not_seen_do_not_hold_a_quantile(run, ops):
    def change(at):
        if 10 <= at < 20 and round(at * 10) % 20 == 7:
            return None
        return {"took": 0.5 if at in (12, 13, 14, 15) else 0.02}

    found = latency.check(run(operations=ops(change)), {"p95": 0.1})
    assert (found.state, found.in_fault) == (State.UNKNOWN, "20 ms")


def test_what_the_load_itself_sent_late_is_in_no_quantile(run, ops):
    late = ops(lambda at: {"late": True, "took": 9.0} if 12 <= at < 12.8 else {})
    found = latency.check(run(operations=late), {"p95": 0.1})
    assert (found.state, found.detail["slowest"]) == (State.HELD, pytest.approx(0.02))


def test_a_load_that_was_never_served_says_nothing_of_latency(run, ops):
    found = latency.check(run(operations=ops(lambda at: {"status": 0, "took": 5.0})), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "the load was not served before the fault either")
