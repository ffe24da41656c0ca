from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checkers import availability, census
from harness.model.history import History, Operation
from harness.model.verdict import State, Verdict, fold

PROMISE = {"ratio": 0.95}


def test_a_window_without_failures_holds(run):
    found = availability.check(run(), PROMISE)
    assert (found.state, found.in_fault) == (State.HELD, "100 %")
    assert found.summary == "all 101 served"


def test_failures_within_the_promise_hold_and_are_counted(run, ops):
    found = availability.check(run(operations=ops(lambda at: {"status": 503 if at == 12 else 200})), PROMISE)
    assert (found.state, found.summary) == (State.HELD, "1 of 101 failed")


def test_failures_beyond_the_promise_break_it(run, ops):
    found = availability.check(run(operations=ops(lambda at: {"status": 0 if 12 <= at < 13 else 200})), PROMISE)
    assert found.state is State.BROKEN
    assert found.summary == "10 of 101 failed; worst second 0 %, 2 s after injection"
    assert (found.baseline, found.in_fault, found.recovery) == ("100 %", "90.09 %", "100 %")


@pytest.mark.parametrize(
    ("status", "state"), [(404, State.BROKEN), (429, State.BROKEN), (500, State.BROKEN), (302, State.HELD)]
)
def test_whatever_is_not_served_is_a_failure(run, ops, status, state):
    found = availability.check(run(operations=ops(lambda at: {"status": status if 12 <= at < 14 else 200})), PROMISE)
    assert found.state is state


def test_a_promise_met_exactly_is_kept(run, ops):
    history = run(operations=ops(lambda at: {"status": 0 if at in (12, 13) else 200} if 10 < at <= 14 else None))
    history = run(window=(10.05, 14.05), operations=history.operations)
    assert len(census.take(history).inside) == 40
    assert availability.check(history, PROMISE).state is State.HELD


def test_failures_outside_the_window_are_shown_but_not_judged(run, ops):
    found = availability.check(run(operations=ops(lambda at: {"status": 503 if at < 8 or at > 28 else 200})), PROMISE)
    assert found.state is State.HELD
    assert found.recovery != "100 %"
    assert found.baseline != "100 %"


def test_what_was_in_flight_at_the_injection_belongs_to_the_window(run, ops):
    found = availability.check(
        run(operations=ops(lambda at: {"status": 0, "took": 3.0} if 8 <= at < 10 else {})), PROMISE
    )
    assert found.state is State.BROKEN


def test_too_few_operations_are_unknown_however_bad(run, ops):
    few = ops(lambda at: {"status": 0} if 12 <= at < 13 else None)
    found = availability.check(run(operations=few, load_rate=None), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "10 operations in the window, fewer than the 30 needed")


def test_a_second_without_operations_is_unknown_not_good(run, ops):
    found = availability.check(run(operations=ops(lambda at: None if 15 <= at < 16 else {})), PROMISE)
    assert found.state is State.UNKNOWN
    assert "no operation for 1 s of the window, first 5 s after the injection" in found.summary


def test_a_load_far_below_its_rate_is_unknown(run, ops):
    found = availability.check(run(operations=ops(lambda at: None if int(at * 10) % 5 == 0 else {})), PROMISE)
    assert found.state is State.UNKNOWN
    assert "the load should have made 100" in found.summary


def test_a_gap_does_not_hide_a_breach(run, ops):
    def change(at):
        return None if 15 <= at < 16 else {"status": 0 if 12 <= at < 14 else 200}

    assert availability.check(run(operations=ops(change)), PROMISE).state is State.BROKEN


def test_without_a_window_or_load_nothing_is_concluded(run):
    assert availability.check(run(window=None), PROMISE).state is State.UNKNOWN
    found = availability.check(run(operations=[], load_rate=None), PROMISE)
    assert (found.state, found.in_fault) == (State.UNKNOWN, "no data")


def test_an_experiment_without_faults_is_judged_over_its_whole_load(run, ops):
    broken = run(window=None, faults=[], operations=ops(lambda at: {"status": 0 if at < 5 else 200}))
    assert availability.check(broken, PROMISE).state is State.BROKEN


@pytest.mark.parametrize("status", [200, 503])
def test_a_promise_of_nothing_is_neither_kept_nor_broken(run, ops, status):
    found = availability.check(run(operations=ops(lambda at: {"status": status})), {"ratio": 0.0})
    assert (found.state, found.target) == (State.NOTED, "none")
    assert fold([found], undone=True, aborted=False) is Verdict.INCONCLUSIVE


def test_nothing_may_fail_when_everything_is_promised(run, ops):
    found = availability.check(run(operations=ops(lambda at: {"status": 0 if at == 12 else 200})), {"ratio": 1.0})
    assert found.state is State.BROKEN
    assert found.detail["budget_spent"] is None


@given(st.integers(30, 300), st.integers(0, 2**300 - 1), st.integers(1, 1000))
def test_the_verdict_is_the_exact_comparison_of_counts(size, bits, promille):
    good = [bool(bits >> index & 1) for index in range(size)]
    made = [Operation(index, index, index, 200 if ok else 503) for index, ok in enumerate(good)]
    history = History(0, len(good), (0.0, float(len(good))), made, load_rate=None)
    found = availability.check(history, {"ratio": promille / 1000})
    kept = sum(good) * 1000 >= promille * len(good)
    assert found.state is (State.HELD if kept else State.BROKEN)


def test_a_share_that_was_seen_below_the_promise_is_not_held_by_what_is_missing(run, ops):
    def change(at):
        if 10 <= at < 20 and round(at * 10) % 20 == 7:
            return None
        return {"status": 503 if at in (12, 13, 14, 15, 16) else 200}

    found = availability.check(run(operations=ops(change)), PROMISE)
    assert (found.state, found.in_fault) == (State.UNKNOWN, "94.79 %")
    assert found.summary == "5 of 96 failed and 4 were not seen: nobody knows whether the promise was kept"


def test_what_the_load_itself_held_up_is_neither_good_nor_bad(run, ops):
    def late(at):
        return {"late": True, "status": 503} if at in (12, 13) else {}

    found = availability.check(run(operations=ops(late)), {"ratio": 0.999})
    assert (found.state, found.summary) == (State.HELD, "all 99 served")
    unsent = ops(lambda at: {"unsent": True, "status": 0} if 12 <= at < 14 else {})
    assert availability.check(run(operations=unsent), PROMISE).state is State.UNKNOWN


def test_a_load_that_was_never_served_blames_no_fault(run, ops):
    found = availability.check(run(operations=ops(lambda at: {"status": 404 if at > 20 else 503})), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "the load was not served before the fault either")
    assert availability.check(run(operations=ops(lambda at: {"status": 503 if at > 0 else 200})), PROMISE).state is (
        State.BROKEN
    )


def test_a_load_that_nobody_served_while_the_system_settled_was_not_served_before_the_fault(run, ops):
    seen = run(operations=ops(lambda at: {"status": 404}), steady_from=10.0)
    found = availability.check(seen, {"ratio": 0.99})
    assert (found.state, found.summary) == (State.UNKNOWN, "the load was not served before the fault either")
