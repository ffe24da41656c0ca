"""What is declared of retries is read to the letter: pauses with and without a draw, budgets by number and by share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.checkers.traces import judge
from harness.checkers.traces.calls import Attempt, Call, Outcome, Trace
from harness.checkers.traces.rules import Budget, EjectionRule, RetryRule, Rules, doubling
from harness.checkers.traces.ruling import Ruling
from harness.model.verdict import State

RULE = RetryRule(retries=2, attempt_timeout=1.0, deadline=5.0, pauses=doubling(0.2, 0.3, 2))


def tried(id: str, start: float, *pauses: float, took: float = 0.1) -> list[Attempt]:
    """One call's attempts, the next one so long after the end of the one before."""
    found, at = [], start
    for number, pause in enumerate([0.0, *pauses], 1):
        at += pause
        found.append(Attempt(id, number, "a", at, at + took, Outcome.RESET))
        at += took
    return found


def judged(calls: list[list[Attempt]], rule: RetryRule, *, skew: float = 0.001) -> dict[str, Ruling]:
    told = [Call(sent[0].call, "shop", "mail", sent[0].start, sent[-1].end, Outcome.RESET) for sent in calls]
    return judge(Trace(told, [one for sent in calls for one in sent], skew=skew), Rules(retry=rule))


def test_a_back_off_doubles_up_to_its_most() -> None:
    assert doubling(0.02, 0.2, 6) == (0.02, 0.04, 0.08, 0.16, 0.2, 0.2)
    assert [RULE.pause(number) for number in (2, 3, 4)] == [0.2, 0.3, 0.3]


@pytest.mark.parametrize(
    ("jittered", "pauses", "state"),
    [
        (True, (0.0, 0.05, 0.1, 0.15, 0.2), State.HELD),
        (True, (0.0, 0.05, 0.1, 0.15, 0.21), State.BROKEN),
        (True, (0.1, 0.1, 0.1, 0.1, 0.1), State.BROKEN),
        (True, (0.1, 0.1, 0.1, 0.1), State.UNKNOWN),
        (False, (0.2, 0.2, 0.2, 0.2, 0.2), State.HELD),
        (False, (0.2, 0.2, 0.2, 0.2, 0.15), State.BROKEN),
    ],
)
def test_pauses_are_within_their_bounds_and_drawn_where_they_are_to_be(
    jittered: bool, pauses: tuple[float, ...], state: State
) -> None:
    calls = [tried(f"c{number}", float(number), pause) for number, pause in enumerate(pauses)]
    assert judged(calls, replace(RULE, jittered=jittered))["RT4"].state is state


def test_clocks_that_are_further_apart_than_pauses_tell_no_draw() -> None:
    alike = [tried(f"c{number}", float(number), 0.1) for number in range(9)]
    assert judged(alike, RULE, skew=0.05)["RT4"].why == "the clocks are too coarse to tell one pause from another"


@pytest.mark.parametrize(
    ("budget", "state"),
    [
        (Budget(share=0.0, least=3), State.HELD),
        (Budget(share=0.0, least=2), State.BROKEN),
        (Budget(share=0.5, least=1), State.HELD),
        (Budget(share=0.4, least=1), State.BROKEN),
        (Budget(share=0.0, least=4), State.UNKNOWN),
    ],
)
def test_retries_under_way_are_counted_against_a_number_and_a_share_of_all(budget: Budget, state: State) -> None:
    retried = [tried(f"c{number}", 0.0, 0.1, took=0.5) for number in range(3)]
    others = [tried(f"o{number}", 0.55, took=0.4) for number in range(3)]
    assert judged([*retried, *others], replace(RULE, budget=budget))["RT5"].state is state


def test_a_call_that_took_all_of_its_attempts_and_none_more_shows_that_they_are_counted() -> None:
    once, thrice = tried("c0", 0.0), tried("c1", 1.0, 0.1, 0.1)
    assert judged([once], RULE)["RT1"].needed == 1
    assert judged([once, thrice], RULE)["RT1"].state is State.HELD
    assert judged([thrice], replace(RULE, retries=1))["RT1"].proof == thrice[2]


def test_a_policy_of_methods_is_put_to_the_test_by_a_call_that_it_spares() -> None:
    rule = replace(RULE, methods=frozenset({"GET"}))
    retried, blamed = tried("c0", 0.0, 0.1), [replace(tried("c1", 1.0)[0], outcome=Outcome.CLIENT_ERROR)]
    assert judged([retried, blamed], RULE)["RT2"].state is State.HELD
    assert judged([retried, blamed], rule)["RT2"].why == "no call failed whose method must not be tried again"


def test_a_call_that_used_up_its_attempts_does_not_show_that_it_heeds_its_deadline() -> None:
    used_up = [replace(one, outcome=Outcome.TIMEOUT) for one in tried("c0", 0.0, 0.1, 0.1)]
    assert judged([used_up], RULE)["RT3"].why == "no call ran out of the time of all its attempts"
    assert judged([used_up[:2]], RULE)["RT3"].state is State.HELD


@pytest.mark.parametrize(
    ("effects", "state"),
    [
        ((True,), State.UNKNOWN),
        ((False, True), State.UNKNOWN),
        ((True, False), State.HELD),
        ((True, True), State.BROKEN),
    ],
)
def test_only_a_retry_after_an_effect_puts_a_key_to_the_test(effects: tuple[bool, ...], state: State) -> None:
    sent = tried("c0", 0.0, *[0.1] * (len(effects) - 1))
    told = [replace(one, effect=effect) for one, effect in zip(sent, effects, strict=True)]
    assert judged([told], RULE)["RT7"].state is state


def test_one_host_may_always_be_out() -> None:
    rule = EjectionRule(failures=3, interval=1.0, base=5.0, longest=9.0, share=0.1, panic=0.0)
    assert [rule.most_out(hosts) for hosts in (2, 4, 20, 30)] == [1, 1, 2, 3]
