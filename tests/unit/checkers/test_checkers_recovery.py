from __future__ import annotations

import pytest

from harness.checkers import recovery
from harness.model.verdict import State

PROMISE = {"within": 5.0}
READY = "ready/shop/cart"


def test_a_system_that_never_faltered_recovered_at_once(run):
    found = recovery.check(run(), PROMISE)
    assert (found.state, found.recovery) == (State.HELD, "0 ms")


def test_a_run_that_ends_right_after_the_undo_is_steady_when_nothing_ever_failed(run, ops, sampled):
    assert recovery.check(run(operations=ops(until=19.2)), PROMISE).state is State.HELD
    ready = sampled(READY, [(0, 3)], desired="3")
    assert recovery.check(run(operations=[], load_rate=None, samples=ready, end=19.0), PROMISE).state is State.HELD


def test_a_run_that_ends_right_after_the_undo_is_unknown_when_something_just_failed(run, ops):
    just = ops(lambda at: {"status": 0} if 18 <= at < 19 else {}, until=19.2)
    assert recovery.check(run(operations=just), PROMISE).state is State.UNKNOWN


def test_the_last_failure_after_the_undo_ends_the_recovery(run, ops):
    found = recovery.check(run(operations=ops(lambda at: {"status": 503 if 12 <= at <= 22.5 else 200})), PROMISE)
    assert (found.state, found.recovery) == (State.HELD, "3.5 s")


def test_failures_after_the_limit_break_it(run, ops):
    found = recovery.check(run(operations=ops(lambda at: {"status": 503 if 12 <= at <= 26 else 200})), PROMISE)
    assert found.state is State.BROKEN
    assert found.summary == "after the limit 20 operations failed, last 7 s after the fault"


def test_a_pause_between_failures_is_not_recovery(run, ops):
    found = recovery.check(run(operations=ops(lambda at: {"status": 503 if at in (20, 26) else 200})), PROMISE)
    assert found.state is State.BROKEN


def test_an_instantaneous_fault_is_measured_from_its_injection(run, struck, ops):
    killed = struck("pod_kill", undone=10.0)
    failing = ops(lambda at: {"status": 503 if 10 <= at <= 16 else 200})
    assert recovery.check(run(faults=[killed], operations=failing), PROMISE).state is State.BROKEN
    frozen = struck("pod_freeze", undone=15.0)
    assert recovery.check(run(faults=[frozen], operations=failing), PROMISE).state is State.HELD


def test_without_a_time_of_undo_the_clock_starts_when_it_was_seen_healed(run, struck, ops):
    failing = ops(lambda at: {"status": 503 if 12 <= at <= 24.5 else 200})
    assert recovery.check(run(faults=[struck(undone=None)], operations=failing), PROMISE).state is State.HELD
    unhealed = struck(undone=None, healed=None)
    assert recovery.check(run(faults=[unhealed], operations=failing), PROMISE).state is State.BROKEN


def test_missing_pods_are_not_steady_however_well_traffic_flows(run, sampled):
    short = sampled(READY, [(0, 3), (12, 2), (27, 3)], desired="3")
    found = recovery.check(run(samples=short), PROMISE)
    assert (found.state, found.summary) == (
        State.BROKEN,
        "after the limit ready pods were missing, last 8 s after the fault",
    )
    back = sampled(READY, [(0, 3), (12, 2), (22, 3)], desired="3")
    assert recovery.check(run(samples=back), PROMISE).recovery == "3 s"


def test_pods_that_never_come_back_break_it_once_the_limit_has_passed(run, sampled):
    lost = sampled(READY, [(0, 3), (12, 2)], desired="3")
    assert recovery.check(run(samples=lost), PROMISE).state is State.BROKEN
    assert recovery.check(run(samples=lost), {"within": 60.0}).state is State.UNKNOWN


def test_a_deployment_that_was_incomplete_before_the_fault_is_not_its_fault(run, sampled):
    sick = sampled("ready/shop/sick", [(0, 0), (25, 0)], desired="1")
    assert recovery.check(run(samples=sick), PROMISE).state is State.HELD


def test_readiness_alone_can_show_recovery(run, sampled):
    ready = sampled(READY, [(0, 3), (12, 2), (21, 3)], desired="3")
    found = recovery.check(run(operations=[], load_rate=None, samples=ready), PROMISE)
    assert (found.state, found.recovery) == (State.HELD, "2 s")


@pytest.mark.parametrize("rate", [10.0, None])
def test_nothing_seen_is_unknown(run, rate):
    found = recovery.check(run(operations=[], load_rate=rate), PROMISE)
    assert (found.state, found.recovery) == (State.UNKNOWN, "no data")


def test_a_gap_after_the_fault_is_unknown(run, ops):
    found = recovery.check(run(operations=ops(lambda at: None if 22 <= at < 25 else {})), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "the load had gaps after the fault")


def test_a_run_that_ended_while_failing_is_unknown_before_the_limit(run, ops):
    found = recovery.check(run(operations=ops(lambda at: {"status": 0 if at > 12 else 200}, until=22)), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "the run ended before it was steady")


def test_no_fault_is_unknown(run, struck):
    assert recovery.check(run(faults=[]), PROMISE).state is State.UNKNOWN
    assert recovery.check(run(faults=[struck("pod_kill", injected=None)]), PROMISE).state is State.UNKNOWN
