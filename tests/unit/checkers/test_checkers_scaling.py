"""Enough pods come in time, none goes while the autoscaler is blind; what nobody saw is no proof."""

from __future__ import annotations

import pytest

from harness.checkers import OBJECTIVES, scaling
from harness.model.verdict import State

NAME, SERIES, WEB = "web", "autoscaler/shop/web", "ready/shop/Deployment/web"
GROWS = {"name": NAME, "reaches": 8, "within": 5.0}
HOLDS = {"name": NAME, "held": True}
LABELS = {"target": "Deployment/web", "least": "5", "most": "8"}
SEES, BLIND = LABELS | {"measured": "cpu 20 %"}, LABELS | {"blind": "yes", "message": "no metrics returned"}


@pytest.fixture
def scaled(run, struck, sampled):
    """Build a history, faults from second 10 to 19, of what was told of an autoscaler and of its workload's pods."""

    def build(pods, *, told=((0, 5, SEES),), kind="workload_scale", **more):
        samples = [one for at, value, labels in told for one in sampled(SERIES, [(at, value)], **labels)]
        for at, ready, wanted in pods:
            labels = {} if wanted is None else {"desired": str(wanted)}
            samples += sampled(WEB, [(at, ready)], **labels)
        return run(**{"samples": samples, "faults": [struck(kind)]} | more)

    return build


CAME = [(0, 5, 5), (12, 5, 8), (18, 8, 8)]


def test_enough_that_come_in_time_are_held(scaled):
    found = scaling.check(scaled(CAME), GROWS)
    assert (found.state, found.summary) == (State.HELD, "8 ready 8 s after the first injection")
    assert (found.baseline, found.in_fault, found.recovery) == ("5 wanted", "8 wanted", "8 wanted")


def test_the_time_counts_from_the_last_undo(scaled):
    assert scaling.check(scaled([(0, 5, 5), (12, 5, 8), (23.9, 8, 8)]), GROWS).state is State.HELD
    late = scaling.check(scaled([(0, 5, 5), (12, 5, 8), (25, 8, 8)]), GROWS)
    assert (late.state, late.summary) == (State.BROKEN, "8 were ready after 6 s")


def test_what_is_killed_counts_from_its_kill(scaled, struck):
    kills = [struck("pod_kill", injected=10.0, applied=10.0), struck("pod_kill", injected=15.0, applied=15.0)]
    assert scaling.check(scaled([(0, 5, 5), (19.9, 8, 8)], faults=kills), GROWS).state is State.HELD
    assert scaling.check(scaled([(0, 5, 5), (20.5, 8, 8)], faults=kills), GROWS).state is State.BROKEN


def test_one_that_may_not_have_more_says_why_they_never_came(scaled):
    pinned, idle = (LABELS | {"most": "5", "limited": f"Too{what}Replicas"} for what in ("Many", "Few"))
    # What is asked for at the end, when the load is over, says nothing of that.
    told = [(0, 5, SEES), (12, 5, pinned), (25, 5, idle)]
    found = scaling.check(scaled([(0, 5, 5)], told=told), GROWS)
    assert found.state is State.BROKEN
    assert found.summary == "5 of 8 were ready at the most, 12 s after the last undo: TooManyReplicas"


def test_a_run_that_ends_before_the_time_is_over_proves_nothing(scaled):
    found = scaling.check(scaled([(0, 5, 5), (20, 7, 8)]), {**GROWS, "within": 60.0})
    assert found.state is State.UNKNOWN
    assert found.summary == "7 of 8 were ready at the most, 12 s after the last undo, when the run ended"


def test_as_many_as_there_were_before_are_no_proof(scaled):
    found = scaling.check(scaled([(0, 8, 8)]), GROWS)
    assert (found.state, found.summary) == (State.UNKNOWN, "8 were ready before any fault: nobody had to come")


def test_pods_that_were_out_of_sight_may_have_come_in_time(scaled):
    assert scaling.check(scaled([(0, 5, 5), (20, None, None), (26, 8, 8)]), GROWS).state is State.UNKNOWN


def test_what_a_starved_machine_can_have_cost_is_unknown(scaled, sampled):
    late = scaled([(0, 5, 5), (12, 5, 8), (25, 8, 8)])
    assert scaling.check(late, GROWS).state is State.BROKEN
    taken = [(float(at), 0.0) for at in range(20, 24)], [(float(at), 0.9) for at in range(20, 24)]
    machine = [*sampled("machine/idle", taken[0]), *sampled("machine/others", taken[1])]
    found = scaling.check(scaled([], samples=[*late.samples, *machine]), GROWS)
    assert found.state is State.UNKNOWN
    assert "nobody knows why" in found.summary


def test_none_that_goes_while_it_is_blind_is_held(scaled):
    told = [(0, 8, SEES), (12, 8, BLIND), (22, 8, SEES)]
    found = scaling.check(scaled([(0, 8, 8), (25, 7, 7)], told=told), HOLDS)
    assert (found.state, found.summary) == (State.HELD, "8 were wanted all the 7 s that it was blind")
    assert found.detail["blind"] == 10


@pytest.mark.parametrize("told", [[(0, 8, SEES), (12, 8, BLIND)], [(0, 8, SEES)]], ids=["blind", "and it saw wrongly"])
def test_one_that_goes_meanwhile_is_broken(scaled, told):
    found = scaling.check(scaled([(0, 8, 8), (15, 8, 7)], told=told), HOLDS)
    assert (found.state, found.summary) == (State.BROKEN, "7 were wanted 5 s after the injection, and 8 before it")


def test_one_that_could_see_all_the_while_had_nothing_to_hold(scaled):
    found = scaling.check(scaled([(0, 8, 8)], told=[(0, 8, SEES), (20, 8, BLIND)]), HOLDS)
    assert (found.state, found.summary) == (State.UNKNOWN, "it could see all the while: nothing had to be held")


def test_what_was_wanted_out_of_sight_is_not_held(scaled):
    told = [(0, 8, SEES), (12, 8, BLIND)]
    assert scaling.check(scaled([(0, 8, 8), (14, None, None), (16, 8, 8)], told=told), HOLDS).state is State.UNKNOWN


@pytest.mark.parametrize("promise", [GROWS, HOLDS])
def test_more_than_it_may_want_is_broken_whatever_is_promised(scaled, promise):
    found = scaling.check(scaled([(0, 5, 5), (15, 5, 9), (18, 9, 9)]), promise)
    assert (found.state, found.summary) == (State.BROKEN, "9 were wanted where 8 are the most")


def test_both_promises_are_judged_and_the_worse_is_told(scaled):
    told = [(0, 5, SEES), (12, 5, BLIND), (22, 8, SEES)]
    both = {**GROWS, **HOLDS}
    assert scaling.check(scaled([(0, 5, 5), (22, 8, 8)], told=told), both).state is State.HELD
    worse = scaling.check(scaled([(0, 5, 5), (29, 8, 8)], told=told), both)
    assert (worse.state, worse.summary) == (State.BROKEN, "8 were ready after 10 s")


@pytest.mark.parametrize(
    ("told", "pods"),
    [
        ([], CAME),
        # It has never looked.
        ([(0, None, LABELS)], CAME),
        # It was made while the faults were there.
        ([(12, 5, SEES)], CAME),
        ([(0, 5, SEES)], []),
        ([(0, 5, SEES)], [(12, 8, 8)]),
    ],
)
def test_an_autoscaler_or_a_workload_that_nobody_saw_before_proves_nothing(scaled, told, pods):
    found = scaling.check(scaled(pods, told=told), GROWS)
    assert (found.state, found.in_fault) == (State.UNKNOWN, "no data")


def test_two_of_one_name_are_told_apart_by_their_namespace(scaled, sampled):
    history = scaled(CAME)
    two = [*history.samples, *sampled("autoscaler/other/web", [(0, 1)], **LABELS)]
    found = scaling.check(scaled([], samples=two), GROWS)
    assert found.state is State.UNKNOWN
    assert "in each of other, shop" in found.summary
    assert scaling.check(scaled([], samples=two), {**GROWS, "namespace": "shop"}).state is State.HELD


def test_without_a_fault_there_is_nothing_to_judge(scaled):
    assert scaling.check(scaled(CAME, faults=[], window=None), GROWS).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("parameters", "key"),
    [({"reaches": 8}, "reaches"), ({"held": True, "within": 5.0}, "within"), ({"held": False}, "held")],
)
def test_a_promise_without_its_number_is_none(parameters, key):
    assert scaling.missed(parameters, []).key == key


def test_a_whole_promise_misses_nothing():
    assert scaling.missed(GROWS, []) is None
    assert scaling.missed(HOLDS, []) is None
    assert OBJECTIVES["scaling"].rights[0]["resources"] == ["horizontalpodautoscalers"]
