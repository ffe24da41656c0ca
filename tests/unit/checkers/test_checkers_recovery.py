from __future__ import annotations

import pytest

from harness.checkers import recovery
from harness.model.verdict import State

PROMISE = {"within": 5.0}
READY = "ready/shop/Deployment/cart"


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


def test_a_workload_that_was_incomplete_before_the_fault_is_not_its_fault(run, sampled):
    sick = sampled("ready/shop/Deployment/sick", [(0, 0), (25, 0)], desired="1")
    assert recovery.check(run(samples=sick), PROMISE).state is State.HELD


def test_readiness_alone_can_show_recovery(run, sampled):
    ready = sampled(READY, [(0, 3), (12, 2), (21, 3)], desired="3")
    found = recovery.check(run(operations=[], load_rate=None, samples=ready), PROMISE)
    assert (found.state, found.recovery) == (State.HELD, "2 s")


@pytest.mark.parametrize("rate", [10.0, None])
def test_nothing_seen_is_unknown(run, rate):
    found = recovery.check(run(operations=[], load_rate=rate, samples=[]), PROMISE)
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


def test_an_instantaneous_fault_that_took_long_is_measured_from_its_effect(run, struck, ops):
    waited = struck("pod_evict", undone=16.0, applied=16.0)
    failing = ops(lambda at: {"status": 503 if 15 <= at <= 18 else 200})
    found = recovery.check(run(faults=[waited], operations=failing), PROMISE)
    assert (found.state, found.recovery) == (State.HELD, "2 s")


def test_an_instantaneous_fault_that_was_cut_is_measured_from_its_undo(run, struck, ops):
    cut = struck("pod_evict", undone=17.0, applied=None, felt=None, healed=None)
    failing = ops(lambda at: {"status": 503 if 15 <= at <= 18 else 200})
    assert recovery.check(run(faults=[cut], operations=failing), PROMISE).detail["from"] == 17.0


def test_readiness_that_was_not_watched_is_unknown_however_well_traffic_flows(run, sampled):
    found = recovery.check(run(samples=[]), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "readiness was not seen")
    refused = sampled("workloads/shop", [(0, None)])
    assert recovery.check(run(samples=refused), PROMISE).state is State.UNKNOWN
    empty = sampled("workloads/shop", [(0, 0)])
    assert recovery.check(run(samples=empty), PROMISE).state is State.HELD


def test_readiness_that_was_out_of_sight_beyond_the_limit_is_unknown(run, sampled):
    def blind(end):
        return sampled(READY, [(0, 3), (20, None), (end, 3)], desired="3")

    found = recovery.check(run(samples=blind(25)), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "readiness was out of sight up to 6 s after the fault")
    within = recovery.check(run(samples=blind(23)), PROMISE)
    assert (within.state, within.recovery) == (State.HELD, "4 s")
    lost = sampled("workloads/shop", [(0, 1), (29, None)])
    assert recovery.check(run(samples=[*blind(21), *lost]), PROMISE).state is State.UNKNOWN


def test_a_count_that_was_not_known_yet_is_no_shortfall(run, sampled):
    unknown = sampled(READY, [(0, 3), (9.8, None), (10.2, 3)], desired="3")
    assert recovery.check(run(samples=unknown), PROMISE).state is State.HELD


def test_a_load_that_was_never_served_cannot_show_a_recovery(run, ops):
    found = recovery.check(run(operations=ops(lambda at: {"status": 0})), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "the load was not served before the fault either")


def test_what_the_load_itself_held_up_is_no_failure_of_the_system(run, ops):
    unsent = ops(lambda at: {"status": 0, "unsent": True} if 26 <= at < 26.5 else {})
    assert recovery.check(run(operations=unsent), PROMISE).state is State.HELD


def test_a_recovery_just_beyond_the_limit_is_told_apart_from_it(run, sampled):
    late = sampled(READY, [(0, 3), (12, 2), (24.3, 3)], desired="3")
    found = recovery.check(run(samples=late), PROMISE)
    assert found.summary == "after the limit ready pods were missing, last 5.3 s after the fault"
    hair = sampled(READY, [(0, 3), (12, 2), (24.02, 3)], desired="3")
    assert recovery.check(run(samples=hair), PROMISE).summary.endswith("last 5.02 s after the fault")


@pytest.mark.case(5, "a workload of any kind whose pod is killed", "its missing pods deviate as a Deployment's do")
@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "ReplicationController", "ReplicaSet", "Rollout", "Cow"])
def test_the_missing_pods_of_every_kind_of_workload_are_seen(run, struck, sampled, kind):
    killed = struck("pod_kill", undone=10.0)
    late = sampled(f"ready/shop/{kind}/db", [(0, 3), (10.1, 2), (27, 3)], desired="3")
    found = recovery.check(run(faults=[killed], samples=late, operations=[], load_rate=None), PROMISE)
    assert (found.state, found.recovery) == (State.BROKEN, "17 s")


@pytest.mark.case(3, "a workload that does not say how many pods it wants", "it owes the ready pods it had")
def test_a_workload_that_does_not_say_what_it_wants_owes_what_it_had(run, sampled):
    late = sampled("ready/shop/Cow/elsie", [(0, 2), (5, 3), (12, 2), (27, 3)])
    assert recovery.check(run(samples=late), PROMISE).state is State.BROKEN
    back = sampled("ready/shop/Cow/elsie", [(0, 3), (12, 2), (22, 3)])
    assert recovery.check(run(samples=back), PROMISE).recovery == "3 s"


SIGHT = "workloads/shop"


def scaled(sampled, *points):
    """Make a Deployment of whom ready and wanted pods are told as they change: (time, ready, wanted)."""
    told = [one for at, ready, wanted in points for one in sampled(READY, [(at, ready)], desired=str(wanted))]
    return [*sampled(SIGHT, [(0, 1)]), *told]


@pytest.mark.case(10, "more pods wanted than before the fault", "what is asked for later is no loss")
@pytest.mark.parametrize(
    ("points", "state", "took"),
    [
        # Scaled up beside the fault: whole again with as many as before.
        ([(0, 4, 4), (12, 3, 4), (13, 3, 6), (22, 4, 6), (28, 6, 6)], State.HELD, "3 s"),
        ([(0, 4, 4), (12, 3, 4), (13, 3, 6), (26, 4, 6)], State.BROKEN, "7 s"),
        # Scaled down: whole again with fewer, and what is wanted back later is asked for later.
        ([(0, 4, 4), (12, 3, 4), (14, 3, 2)], State.HELD, "0 ms"),
        ([(0, 4, 4), (12, 3, 4), (14, 2, 2), (20, 2, 4), (29, 4, 4)], State.HELD, "0 ms"),
        # Incomplete before: it owes what it had.
        ([(0, 3, 4), (12, 2, 4), (27, 3, 4)], State.BROKEN, "8 s"),
        # A workload that came during the window had nothing to lose.
        ([(13, 0, 2), (29, 1, 2)], State.HELD, "0 ms"),
        # Deleted by somebody: nothing is wanted any more.
        ([(0, 4, 4), (12, 3, 4), (14, 0, 0)], State.HELD, "0 ms"),
    ],
)
def test_what_is_wanted_beside_the_fault_is_no_loss(run, sampled, points, state, took):
    found = recovery.check(run(samples=scaled(sampled, *points)), PROMISE)
    assert (found.state, found.recovery) == (state, took)


def test_a_workload_that_was_first_seen_after_the_fault_began_owes_what_it_wants(run, sampled):
    late = sampled(READY, [(15, 2), (27, 3)], desired="3")
    assert recovery.check(run(samples=late), PROMISE).state is State.BROKEN


def test_a_workload_of_which_something_else_was_asked_owes_nobody_knows_what(run, sampled):
    key = "ready/shop/Cow/elsie"
    asked = [*sampled(key, [(0, 3), (12, 2)], spec="a"), *sampled(key, [(14, 2)], spec="b")]
    found = recovery.check(run(samples=asked), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "readiness was out of sight up to 12 s after the fault")
    back = [*asked, *sampled(key, [(20, 3)], spec="b")]
    assert recovery.check(run(samples=back), PROMISE).state is State.HELD


@pytest.mark.case(10, "fewer pods wanted than before the fault", "no loss, whichever of two watches tells first")
def test_a_pod_that_is_seen_to_go_before_it_is_known_that_fewer_are_wanted_is_no_loss(run, sampled):
    late = scaled(sampled, (0, 4, 4), (28, 3, 4), (28.3, 3, 3))
    assert recovery.check(run(samples=late), PROMISE).state is State.HELD
    much_later = scaled(sampled, (0, 4, 4), (27, 3, 4), (29, 3, 3))
    assert recovery.check(run(samples=much_later), PROMISE).state is State.BROKEN


# From second 10 to 19 a fault wants none of three; what is wanted and what is there are told one after the other.
DOWN = [(0, 3, 3), (10.1, 3, 0), (10.5, 0, 0), (19.01, 0, 0), (19.1, 0, 3)]


@pytest.mark.parametrize(("back", "state"), [(22.0, State.HELD), (27.0, State.BROKEN)])
def test_what_a_fault_asked_a_workload_for_is_no_wish_of_the_workloads(run, struck, sampled, back, state):
    down = struck("workload_scale", victim="shop/cart", workload="shop/Deployment/cart")
    found = recovery.check(run(faults=[down], samples=scaled(sampled, *DOWN, (back, 3, 3))), PROMISE)
    assert found.state is state


def test_what_somebody_else_asked_for_after_the_fault_is_believed(run, struck, sampled):
    down = struck("workload_scale", victim="shop/cart", workload="shop/Deployment/cart")
    found = recovery.check(run(faults=[down], samples=scaled(sampled, *DOWN, (20.5, 1, 1))), PROMISE)
    assert found.recovery == "1.5 s"
