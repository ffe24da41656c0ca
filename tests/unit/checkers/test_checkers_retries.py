from __future__ import annotations

import pytest

from harness.checkers import retries
from harness.model.verdict import State


def retried(at):
    return {"attempts": 2} if 12 <= at < 14 else {}


def test_retries_that_hide_failures_hold(run, ops):
    found = retries.check(run(operations=ops(retried)), {"max-attempts": 1.5})
    assert (found.state, found.summary) == (State.HELD, "20 of 20 retried operations ended well")
    assert (found.baseline, found.in_fault) == ("1.00 attempts", "1.20 attempts")


def test_retries_that_multiply_the_load_break_it(run, ops):
    storm = ops(lambda at: {"attempts": 9} if 12 <= at < 19 else {})
    found = retries.check(run(operations=storm), {"max-attempts": 1.5, "max-tries": 3})
    assert found.state is State.BROKEN
    assert found.summary.endswith("more than 1.5; one operation took 9 tries, more than 3")


def test_retries_that_save_too_little_break_it(run, ops):
    lost = ops(lambda at: {"attempts": 3, "status": 503 if int(at * 10) % 2 else 200} if 12 <= at < 14 else {})
    found = retries.check(run(operations=lost), {"saved": 0.9})
    assert (found.state, found.target) == (State.BROKEN, ">= 90 % saved")
    assert "10 of 20 operations were saved by a retry" in found.summary
    assert retries.check(run(operations=lost), {"saved": 0.5}).state is State.HELD


def test_failures_after_a_single_try_show_that_retries_are_missing(run, ops):
    found = retries.check(
        run(operations=ops(lambda at: {"status": 503} if 12 <= at < 14 else {})), {"max-attempts": 1.5}
    )
    assert (found.state, found.summary) == (State.BROKEN, "20 operations failed and no retry of them was seen")


def test_a_run_in_which_nothing_needed_a_retry_shows_nothing(run):
    found = retries.check(run(), {"max-attempts": 1.5})
    assert found.state is State.UNKNOWN
    assert "0 operations needed a retry" in found.summary


def test_gaps_and_thin_windows_are_unknown(run, ops):
    gap = ops(lambda at: None if 16 <= at < 18 else retried(at))
    assert retries.check(run(operations=gap), {"max-attempts": 1.5}).state is State.UNKNOWN
    few = ops(lambda at: {"attempts": 9} if 12 <= at < 13 else None)
    assert retries.check(run(operations=few, load_rate=None), {"max-attempts": 1.5}).state is State.UNKNOWN


@pytest.mark.parametrize("more", [{"window": None}, {"operations": [], "load_rate": None}])
def test_no_data_is_unknown(run, more):
    assert retries.check(run(**more), {"max-tries": 2}).in_fault == "no data"


def test_a_gateway_that_does_not_count_is_unknown(run, ops):
    silent = ops(lambda at: {"attempts": 0} if 12 <= at < 12.3 else retried(at))
    found = retries.check(run(operations=silent), {"max-attempts": 1.5})
    assert (found.state, found.summary) == (State.UNKNOWN, "the gateway counted no attempts of 3 of 101 operations")
    one = ops(lambda at: {"attempts": 0} if at == 11 else retried(at))
    assert retries.check(run(operations=one), {"max-attempts": 1.5}).state is State.HELD


def test_operations_without_an_answer_needed_a_retry_and_were_not_saved(run, ops):
    def change(at):
        return {"status": 0, "attempts": 0} if 14 <= at < 15 else retried(at)

    found = retries.check(run(operations=ops(change)), {"saved": 0.99})
    assert (found.state, found.detail["not_retried"]) == (State.BROKEN, 10)
    assert found.summary == "20 of 30 operations were saved by a retry, less than 99 %"


def test_failures_that_nobody_tried_again_show_that_retries_are_missing(run, ops):
    mute = ops(lambda at: {"status": 0, "attempts": 0} if at >= 10 else {})
    assert retries.check(run(operations=mute), {"max-attempts": 1.1, "min-retried": 0}).state is State.UNKNOWN
    lost = ops(lambda at: {"status": 0, "attempts": 0} if 12 <= at < 14 else {})
    found = retries.check(run(operations=lost), {"max-attempts": 1.5})
    assert (found.state, found.summary) == (State.BROKEN, "20 operations failed and no retry of them was seen")


def test_what_the_load_itself_held_up_shows_nothing_of_retries(run, ops):
    storm = ops(lambda at: {"attempts": 9, "late": True} if 12 <= at < 12.5 else retried(at))
    assert retries.check(run(operations=storm), {"max-tries": 3}).state is State.HELD
