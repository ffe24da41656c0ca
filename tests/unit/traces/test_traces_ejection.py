"""Which hosts were out of turn is told from attempts alone, and only what was put to the test is held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.checkers.traces import judge
from harness.checkers.traces.calls import Attempt, Call, Outcome, Trace
from harness.checkers.traces.rules import EjectionRule, Rules
from harness.checkers.traces.ruling import Ruling
from harness.model.verdict import State

HOSTS = ("a", "b", "c", "d")
RULE = EjectionRule(failures=3, interval=0.2, base=2.0, longest=8.0, share=0.5, panic=0.0)
Spans = dict[str, tuple[float, float]]


def out_of_turn(start: float, end: float, *hosts: str) -> Callable[[float], set[str]]:
    return lambda at: set(hosts) if start <= at < end else set()


def judged(failing: Spans, out: Callable[[float], set[str]], rule: EjectionRule, *, until: float) -> dict[str, Ruling]:
    """Ask four hosts in turn a hundred times a second; `failing` says when one fails, `out` which are left out."""
    calls, attempts = [], []
    for number in range(int(until * 100)):
        at = number / 100
        left = [host for host in HOSTS if host not in out(at)]
        host = left[number % len(left)]
        start, end = failing.get(host, (0.0, 0.0))
        outcome = Outcome.RESET if start <= at < end else Outcome.OK
        calls.append(Call(f"c{number}", "gateway", "shop", at, at + 0.005, outcome))
        attempts.append(Attempt(f"c{number}", 1, host, at, at + 0.005, outcome))
    return judge(Trace(calls, attempts, {"shop": frozenset(HOSTS)}), Rules(ejection=rule))


def test_one_host_out_where_two_may_be_shows_how_long_and_not_how_many() -> None:
    found = judged({"c": (0.5, 1.0)}, out_of_turn(0.63, 2.63, "c"), RULE, until=4.0)
    assert (found["OD1"].state, found["OD2"].state) == (State.UNKNOWN, State.HELD), found


def test_two_hosts_out_prove_no_limit_until_a_third_one_fails() -> None:
    out = out_of_turn(0.65, 2.65, "c", "d")
    two: Spans = {"c": (0.5, 1.0), "d": (0.5, 1.0)}
    assert judged(two, out, RULE, until=4.0)["OD1"].state is State.UNKNOWN
    assert judged({**two, "b": (1.0, 1.5)}, out, RULE, until=4.0)["OD1"].state is State.HELD


def test_a_host_that_a_panic_brings_back_is_not_back_too_soon() -> None:
    panics = replace(RULE, panic=0.6)
    failing: Spans = {"c": (0.5, 4.0), "d": (1.0, 4.0)}
    out = out_of_turn(0.63, 1.15, "c")
    found = judged(failing, out, panics, until=3.0)
    assert (found["OD2"].state, found["OD3"].state) == (State.UNKNOWN, State.HELD), found
    assert judged(failing, out, RULE, until=3.0)["OD2"].state is State.BROKEN


def test_a_panic_that_has_just_begun_shows_nothing_yet() -> None:
    failing: Spans = {"c": (0.5, 4.0), "d": (0.5, 4.0)}
    assert judged(failing, out_of_turn(0.0, 0.0), replace(RULE, panic=0.6), until=0.7)["OD3"].state is State.UNKNOWN


def test_hosts_that_nobody_named_are_not_judged() -> None:
    trace = Trace([Call("c0", "gateway", "shop", 0.0, 0.1, Outcome.OK)], [Attempt("c0", 1, "a", 0.0, 0.1, Outcome.OK)])
    assert judge(trace, Rules(ejection=RULE))["OD1"].why == "no attempt was recorded whose callee's hosts are known"
