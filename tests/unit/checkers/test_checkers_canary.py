"""A release is promoted or rolled back in time by its analysis, and few met it; what nobody saw is no proof."""

from __future__ import annotations

import pytest

from harness.checkers import OBJECTIVES, canary
from harness.model.verdict import State

ROLLOUT = "shop/Rollout/web"
BACK = {"rolled-back": True, "within": 8.0, "max-exposed": 0.12}
ON = {"promoted": True, "within": 8.0}
UP = {"given-up": True, "within": 8.0, "max-exposed": 0.12}
GOOD, BAD = "web-old-1", "web-new-1"


def state(newest="old", stable="old", *, aborted=False, phase="Progressing"):
    told = {"phase": phase, "stable": stable, "newest": newest, "message": "RolloutAborted: aborted"}
    return told | ({"aborted": "yes"} if aborted else {})


REST, CANARY, PROMOTED, ABORTED = state(), state("new"), state("new", "new"), state("new", aborted=True)
FAILED = {"phase": "Failed", "rollout": "Rollout/web", "release": "new", "message": "success-rate assessed Failed"}

ERROR = {**FAILED, "phase": "Error", "message": "success-rate assessed Error"}


@pytest.fixture
def released(run, struck, sampled, ops):
    """Build a history of a release at second 10 whose Rollout was seen so; one operation in ten meets it."""

    def build(*seen, analysis=(), met=lambda at: at * 10 % 10 < 1, who=None, **more):
        samples = sampled(f"pod/shop/{GOOD}", [(0, 1)], release="old")
        samples += sampled(f"pod/shop/{BAD}", [(11, 1)], release="new")
        for time, value, labels in seen:
            samples += sampled(f"release/{ROLLOUT}", [(time, value)], **labels)
        for labels in analysis:
            samples += sampled("analysis/shop/web-new-2", [(14, 5)], **labels)
        told = who or (lambda at: {"served_by": BAD if at >= 10 and met(at) else GOOD})
        faults = [struck("workload_release", workload=ROLLOUT, undone=19.0)]
        return run(**{"samples": samples, "operations": ops(told), "faults": faults} | more)

    return build


BEFORE = (0, 100.0, REST)
UNDER_WAY = (11, 10.0, CANARY)


def test_a_release_that_its_analysis_found_bad_is_rolled_back_in_time(released):
    found = canary.check(released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=[FAILED]), BACK)
    assert found.state is State.HELD
    assert found.summary.startswith("rolled back after 5 s: success-rate assessed Failed; ")
    assert found.in_fault == "rolled-back, 11.76 % exposed"


@pytest.mark.parametrize("analysis", [(), ({**FAILED, "phase": "Error"},), ({**FAILED, "release": "older"},)])
def test_one_that_was_given_up_without_being_found_bad_proves_nothing(released, analysis):
    found = canary.check(released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=analysis), BACK)
    assert found.state is State.UNKNOWN
    assert "no analysis was seen to find it bad" in found.summary


def test_one_that_nobody_could_measure_is_given_up_in_time(released):
    found = canary.check(released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=[ERROR]), UP)
    assert found.state is State.HELD
    assert found.summary.startswith("given up after 5 s: success-rate assessed Error; ")
    assert (found.detail["outcome"], found.in_fault) == ("given-up", "given-up, 11.76 % exposed")
    assert found.target == "given-up within 8 s, <= 12 % exposed"


def test_one_that_nobody_could_measure_is_not_promoted(released):
    found = canary.check(released(BEFORE, UNDER_WAY, (15, 100.0, PROMOTED), analysis=[ERROR]), UP)
    assert (found.state, found.summary) == (State.BROKEN, "promoted after 5 s")


def test_one_that_was_to_be_given_up_unmeasured_and_was_found_bad_is_broken(released):
    found = canary.check(released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=[FAILED]), UP)
    assert found.state is State.BROKEN
    assert found.summary.startswith("rolled back after 5 s: success-rate assessed Failed")


@pytest.mark.parametrize("analysis", [(), ({**ERROR, "release": "older"},), ({**ERROR, "phase": "Running"},)])
def test_one_that_was_given_up_for_what_nobody_saw_was_not_given_up_for_want_of_measurements(released, analysis):
    found = canary.check(released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=analysis), UP)
    assert found.state is State.UNKNOWN
    assert "no analysis was seen that could not measure it" in found.summary


def test_one_that_is_given_up_too_late_is_broken(released):
    found = canary.check(released(BEFORE, UNDER_WAY, (18.5, 0.0, ABORTED), analysis=[ERROR]), UP)
    assert found.state is State.BROKEN
    assert found.summary.startswith("given up after 8.5 s")


def test_a_good_one_that_is_given_up_unmeasured_is_broken(released):
    found = canary.check(released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=[ERROR]), ON)
    assert (found.state, found.summary) == (State.BROKEN, "given up after 5 s: success-rate assessed Error")


def test_a_bad_one_that_is_promoted_is_broken(released):
    found = canary.check(released(BEFORE, UNDER_WAY, (15, 100.0, PROMOTED)), BACK)
    assert (found.state, found.summary) == (State.BROKEN, "promoted after 5 s")


def test_a_good_one_that_is_promoted_is_held(released):
    found = canary.check(released(BEFORE, UNDER_WAY, (15, 100.0, PROMOTED)), ON)
    assert (found.state, found.summary) == (State.HELD, "promoted after 5 s")


def test_a_good_one_that_is_rolled_back_is_broken(released):
    found = canary.check(released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=[FAILED]), ON)
    assert found.state is State.BROKEN
    assert "assessed Failed" in found.summary


@pytest.mark.parametrize("promise", [ON, BACK])
def test_what_is_decided_too_late_is_broken(released, promise):
    last = (18.5, 100.0, PROMOTED) if promise is ON else (18.5, 0.0, ABORTED)
    found = canary.check(released(BEFORE, UNDER_WAY, last, analysis=[FAILED]), promise)
    assert found.state is State.BROKEN
    assert "after 8.5 s" in found.summary


def test_what_is_still_under_way_when_its_time_is_over_is_broken(released):
    found = canary.check(released(BEFORE, UNDER_WAY, (13, 20.0, CANARY)), ON)
    assert (found.state, found.summary) == (State.BROKEN, "it was still at 20 % of the traffic after 9 s")


def test_what_is_taken_back_before_its_time_is_over_is_unknown(released):
    found = canary.check(released(BEFORE, UNDER_WAY), {**ON, "within": 20.0})
    assert found.state is State.UNKNOWN
    assert "when it was taken back after 9 s" in found.summary


def test_a_rollback_by_the_undo_is_none(released):
    history = released(BEFORE, UNDER_WAY, (19.5, 0.0, ABORTED), analysis=[FAILED])
    assert canary.check(history, BACK).state is State.BROKEN


def test_more_operations_than_promised_that_met_it_are_broken(released):
    history = released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=[FAILED], met=lambda at: at * 10 % 10 < 2)
    found = canary.check(history, BACK)
    assert found.state is State.BROKEN
    assert "of 51 operations met it" in found.summary


def test_operations_of_which_nobody_knows_whom_they_met_may_have_met_it(released, op):
    history = released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=[FAILED])
    nobody = [op(10 + number / 10, served_by="") for number in range(8)]
    found = canary.check(released(operations=[*history.operations, *nobody], samples=history.samples), BACK)
    assert found.state is State.UNKNOWN
    assert "of 8 operations nobody knows" in found.summary


@pytest.mark.parametrize(("tried", "host"), [("10.0.0.9:8080", "10.0.0.9"), ("[fd00::9]:8080", "fd00::9")])
def test_an_operation_that_the_gateway_answered_itself_met_the_pod_that_it_tried(released, op, tried, host):
    history = released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=[FAILED])
    unserved = [op(10 + number / 10, served_by="", tried=tried) for number in range(8)]
    more = {"operations": [*history.operations, *unserved], "samples": history.samples}
    found = canary.check(released(addresses={host: BAD}, **more), BACK)
    assert found.state is State.BROKEN


@pytest.mark.parametrize(
    ("unclear", "state"),
    [
        # Tried again: whom it met first nobody says.
        ({"served_by": GOOD, "attempts": 2}, State.UNKNOWN),
        # The gateway does not count its attempts.
        ({"served_by": GOOD, "attempts": 0}, State.UNKNOWN),
        ({"served_by": GOOD, "attempts": 0, "direct": True}, State.HELD),
        # Another service answered, for one of the two releases behind it.
        ({"served_by": "front-1"}, State.UNKNOWN),
        ({"served_by": BAD, "attempts": 2}, State.BROKEN),
    ],
)
def test_an_operation_that_may_have_met_it_unseen_is_no_proof_that_few_did(released, unclear, state):
    history = released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=[FAILED], who=lambda _: unclear)
    assert canary.check(history, BACK).state is state


def test_a_release_that_fails_whatever_it_gets_is_not_the_least_exposed_for_its_retries(released):
    def retried(at):
        return {"served_by": GOOD, "attempts": 2 if at * 10 % 10 < 1 else 1}

    history = released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=[FAILED], who=retried)
    found = canary.check(history, {**BACK, "max-exposed": 0.05})
    assert found.state is State.UNKNOWN
    assert found.summary.startswith("of 6 operations nobody knows whether they met it; ")
    found = canary.check(history, BACK)
    assert found.state is State.HELD
    assert found.summary.endswith("; 0 % of 51 operations met it, 11.76 % at the most")
    assert found.in_fault == "rolled-back, 0 % to 11.76 % exposed"


def test_too_few_operations_say_nothing_of_who_met_it(released):
    found = canary.check(released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=[FAILED], operations=[]), BACK)
    assert found.state is State.UNKNOWN


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ((), "as a Rollout"),
        ((BEFORE,), "no new release was seen"),
        ((BEFORE, UNDER_WAY, (12, None, {})), "out of sight"),
    ],
)
def test_what_nobody_saw_is_unknown(released, seen, why):
    found = canary.check(released(*seen), BACK)
    assert found.state is State.UNKNOWN
    assert why in found.summary


def test_without_a_release_nothing_is_known(run, struck):
    assert canary.check(run(faults=[struck("pod_kill")]), ON).state is State.UNKNOWN


def test_a_rollback_on_a_machine_that_others_had_blames_no_good_release(released, sampled):
    history = released(BEFORE, UNDER_WAY, (15, 0.0, ABORTED), analysis=[FAILED])
    taken = [
        sample
        for at in range(9, 16)
        for name, value in (("idle", 0.0), ("others", 0.6), ("steal", 0.0))
        for sample in sampled(f"machine/{name}", [(float(at), value)])
    ]
    found = canary.check(released(samples=[*history.samples, *taken]), ON)
    assert found.state is State.UNKNOWN


@pytest.mark.parametrize(
    ("promised", "refused"),
    [
        ({"promoted": True}, False),
        ({"rolled-back": True}, False),
        ({"promoted": True, "rolled-back": True}, True),
        ({"promoted": False}, True),
        ({"promoted": False, "rolled-back": True}, False),
        ({"given-up": True}, False),
        ({"given-up": True, "rolled-back": True}, True),
        ({"given-up": True, "promoted": False}, False),
    ],
)
def test_a_release_is_promised_one_end(promised, refused):
    assert OBJECTIVES["canary"].missed
    assert bool(OBJECTIVES["canary"].missed(promised, [])) is refused
