"""No evidence is never held: each property says what it lacks, and how many calls would have told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.checkers.traces import BREAKER, EJECTION, RETRY, judge
from harness.checkers.traces.calls import Attempt, Call, Outcome, Trace
from harness.checkers.traces.rules import BreakerRule, RetryRule, Rules
from harness.model.verdict import State
from tests.unit.traces.balancer import RULES as BALANCED
from tests.unit.traces.caller import RULES, Build, drive

EVERYTHING = replace(RULES, ejection=BALANCED.ejection)
RULE = BreakerRule(failures=3, volume=20, ratio=0.5, window=10.0, open_for=5.0)


def call(id: str, start: float, outcome: Outcome, took: float = 0.1, callee: str = "mail") -> Call:
    return Call(id, "shop", callee, start, start if outcome is Outcome.REFUSED else start + took, outcome)


def calls(*told: tuple[float, Outcome]) -> list[Call]:
    return [call(f"c{number}", start, outcome) for number, (start, outcome) in enumerate(told)]


def attempts(*calls: Call) -> list[Attempt]:
    sent = [one for one in calls if one.outcome is not Outcome.REFUSED]
    return [Attempt(one.id, 1, "a", one.start, one.end, one.outcome) for one in sent]


def opened(*more: tuple[float, Outcome]) -> list[Call]:
    """Three failures, and a breaker that is open from 0.4 to 5.4."""
    return calls(*((at, Outcome.RESET) for at in (0.1, 0.2, 0.3)), (0.5, Outcome.REFUSED), *more)


def test_a_trace_of_nothing_proves_nothing() -> None:
    found = judge(Trace([]), EVERYTHING)
    assert set(found) == {*BREAKER, *RETRY, *EJECTION}
    assert {ruling.state for ruling in found.values()} == {State.UNKNOWN}


def test_calls_that_all_went_well_prove_only_that_nobody_was_held_up() -> None:
    well = [call(f"c{number}", number / 20, Outcome.OK) for number in range(100)]
    found = judge(Trace(well, attempts(*well)), EVERYTHING)
    assert {name for name, ruling in found.items() if ruling.state is not State.UNKNOWN} == {"CB11"}


def test_a_rule_that_was_not_declared_is_not_judged() -> None:
    assert set(judge(Trace([]), Rules(retry=RULES.retry))) == set(RETRY)


@pytest.mark.parametrize("seconds", [0.5, 2.0, 2.7, 2.9, 4.0, 4.85, 5.1, 6.0, 7.3, 9.0, 10.0])
def test_a_trace_that_ends_at_any_moment_accuses_nobody(seconds: float) -> None:
    whole = drive(Build()).by_callee
    known = [one for one in whole.calls if one.start <= seconds]
    cut = [one if one.end <= seconds else replace(one, end=seconds, outcome=Outcome.ABANDONED) for one in known]
    ended = [one for one in whole.attempts if one.end <= seconds]
    found = judge(Trace(cut, ended, whole.hosts), RULES)
    assert not {name: ruling for name, ruling in found.items() if ruling.state is State.BROKEN}


def test_too_few_calls_while_open_say_how_many_more_were_needed() -> None:
    ruling = judge(Trace(opened(*((1.0 + at, Outcome.REFUSED) for at in range(3)))), Rules(breaker=RULE))["CB1"]
    assert (ruling.state, ruling.needed) == (State.UNKNOWN, 6)
    assert ruling.why == "4 calls came while a breaker was open"


def test_too_few_failures_say_how_many_more_had_opened_it() -> None:
    failed = calls((0.1, Outcome.OK), (0.2, Outcome.RESET), (0.3, Outcome.RESET), (0.5, Outcome.OK))
    ruling = judge(Trace(failed), Rules(breaker=RULE))["CB3"]
    assert (ruling.state, ruling.needed) == (State.UNKNOWN, 1)
    assert ruling.why == "at most 2 calls in a row failed, fewer than 3"


def test_no_call_after_the_open_time_leaves_it_open_whether_it_closes() -> None:
    ruling = judge(Trace(opened()), Rules(breaker=RULE))["CB6"]
    assert ruling.why == "no call came after the open time, and it takes one to move a breaker"


def test_retries_that_may_have_gone_elsewhere_by_chance_say_how_many_more_were_needed() -> None:
    retry = RetryRule(retries=1, attempt_timeout=1.0, deadline=3.0, pauses=(0.1,))
    asked = [call(f"c{number}", float(number), Outcome.OK) for number in range(4)]
    tried = [Attempt(one.id, 1, "a", one.start, one.start + 0.1, Outcome.RESET) for one in asked]
    again = [Attempt(one.id, 2, "b", one.start + 0.15, one.start + 0.2, Outcome.OK) for one in asked]
    ruling = judge(Trace(asked, tried + again, {"mail": frozenset("ab")}), Rules(retry=retry))["RT6"]
    # Of two hosts ten in a row are the other one once in a thousand times; the first retry had no choice to go by.
    assert (ruling.state, ruling.needed) == (State.UNKNOWN, 7)


def test_an_attempt_is_the_proof_of_a_leak() -> None:
    leaked = opened((1.0, Outcome.OK))
    ruling = judge(Trace(leaked, attempts(*leaked)), Rules(breaker=RULE))["CB1"]
    assert ruling.state is State.BROKEN
    assert isinstance(ruling.proof, Attempt)
    assert ruling.proof.call == "c4"


def test_a_request_that_was_sent_for_a_refused_call_breaks_the_promise_to_fail_fast() -> None:
    refused = opened()
    sent = [*attempts(*refused), Attempt("c3", 1, "a", 0.5, 0.6, Outcome.RESET)]
    assert judge(Trace(refused, sent), Rules(breaker=RULE))["CB7"].proof == sent[-1]


def test_a_half_open_breaker_that_waits_for_a_probe_which_told_nothing_does_not_recover() -> None:
    told_nothing = opened((5.5, Outcome.OVERLOADED))
    stuck = calls(*((one.start, one.outcome) for one in told_nothing), (5.7, Outcome.REFUSED))
    assert judge(Trace(told_nothing), Rules(breaker=RULE))["CB6"].state is State.UNKNOWN
    assert judge(Trace(stuck), Rules(breaker=RULE))["CB6"].proof == stuck[-1]


@pytest.mark.parametrize(("probes", "state"), [(1, State.BROKEN), (2, State.HELD)])
def test_as_many_probes_as_are_declared_may_be_under_way(probes: int, state: State) -> None:
    half_open = opened(*((at, Outcome.OK) for at in (5.5, 5.52)), (5.54, Outcome.REFUSED))
    assert judge(Trace(half_open), Rules(breaker=replace(RULE, probes=probes)))["CB4"].state is state


@pytest.mark.parametrize(
    ("last", "due", "kept"),
    [
        (Outcome.OK, State.UNKNOWN, State.BROKEN),
        (Outcome.REFUSED, State.HELD, State.HELD),
    ],
)
def test_half_of_a_windows_calls_open_it_although_no_row_is_long(last: Outcome, due: State, kept: State) -> None:
    mixed = calls(*((at / 5, (Outcome.OK, Outcome.RESET)[at % 2]) for at in range(20)), (5.0, last))
    found = judge(Trace(mixed), Rules(breaker=RULE))
    assert (found["CB2"].state, found["CB3"].state) == (due, kept)


def test_a_trace_that_began_late_does_not_say_why_a_breaker_first_opened() -> None:
    late = calls((0.1, Outcome.RESET), (0.5, Outcome.REFUSED))
    assert judge(Trace(late), Rules(breaker=RULE))["CB2"].state is State.BROKEN
    unseen = frozenset({(late[0].caller, late[0].callee)})
    assert judge(Trace(late, unseen=unseen), Rules(breaker=RULE))["CB2"].state is State.UNKNOWN


def test_a_breaker_that_may_have_half_opened_unseen_is_not_accused_of_refusing() -> None:
    thin = calls(*((at, Outcome.RESET) for at in (0.1, 0.2, 0.3)), (9.0, Outcome.OK), (9.05, Outcome.REFUSED))
    found = judge(Trace(thin), Rules(breaker=RULE))
    assert not {name for name, ruling in found.items() if ruling.state is State.BROKEN}


def test_attempts_that_belong_to_no_call_count_as_amplification() -> None:
    retry = RetryRule(retries=1, attempt_timeout=1.0, deadline=3.0, pauses=(0.1,))
    one = call("c0", 0.0, Outcome.OK)
    hidden = [
        Attempt(f"hidden-{number}", 1, "a", number / 10, number / 10 + 0.05, Outcome.RESET) for number in range(2)
    ]
    assert judge(Trace([one], attempts(one)), Rules(retry=retry))["RT5"].state is State.UNKNOWN
    assert judge(Trace([one], [*attempts(one), *hidden]), Rules(retry=retry))["RT5"].state is State.BROKEN
