"""What a service recorded of its calls is judged as the trace of them is, in a run as anywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.checkers import OBJECTIVES, conforming
from harness.checkers.traces import BREAKER, judge
from harness.checkers.traces.calls import Trace
from harness.model.calls import Recorded
from harness.model.history import History, Sample
from harness.model.verdict import Finding, State
from tests.unit.traces.caller import CALLER, FAILING, HEALTHY_AGAIN, REGISTRY, RULES, UNTIL, Build, Seen, drive
from tests.unit.traces.mutants import MUTANTS

PROMISE = {"dependency": REGISTRY, "within": 1.0, "threshold": 5, "closes-within": 2.0, "conforms": True}
# These wait outside of the client, where nothing is recorded.
CLOSED = 11.5  # when the breaker has closed for the last time
OUTSIDE = {"is slow to refuse", "makes its calls one by one"}


def run(mutant: str = "") -> Seen:
    return drive(MUTANTS[mutant].build if mutant else Build())


def history(seen: Seen, *recorded: Recorded, **more: Any) -> History:
    told: dict[str, Any] = {"samples": seen.samples, "window": (FAILING, HEALTHY_AGAIN), "recorded": recorded} | more
    return History(start=0.0, end=UNTIL, **told)


def check(*recorded: Recorded, seen: Seen | None = None, **more: Any) -> Finding:
    return OBJECTIVES["breaker"].check(history(seen or run(), *recorded, **more), PROMISE)


def states(detail: Any) -> dict[str, str]:
    return {name: said.partition(":")[0] for name, said in detail.items() if name in BREAKER}


def test_the_record_tells_what_the_trace_tells() -> None:
    one = run().recorded
    mine, by_caller = judge(Trace(one.calls, one.attempts), RULES), judge(run().by_caller, RULES)
    assert {name: ruling.state for name, ruling in mine.items()} == {
        name: ruling.state for name, ruling in by_caller.items()
    }


def test_the_stacks_breaker_conforms_and_says_how_much_of_it_was_put_to_the_test() -> None:
    found = check(run().recorded)
    assert (found.state, set(states(found.detail).values())) == (State.HELD, {"held"})
    assert "11 of 11 properties" in found.summary
    assert found.target.endswith("conforms")


@pytest.mark.parametrize("name", [name for name, one in MUTANTS.items() if one.breaks < "RT" and name not in OUTSIDE])
def test_what_a_caller_breaks_is_broken_in_its_record(name: str) -> None:
    found = conforming.breakers(history(run(name), run(name).recorded), REGISTRY)
    broken = {said.partition(":")[0] for said in (*found.broken, *found.timed)}
    # What it breaks with it may show in the calls to another callee alone.
    assert MUTANTS[name].breaks in broken <= {MUTANTS[name].breaks} | MUTANTS[name].with_it
    assert all(CALLER in said for said in (*found.broken, *found.timed))


def test_a_breaker_that_never_opens_is_broken_by_the_call_that_proves_it() -> None:
    found = check(run("never opens").recorded, seen=run("never opens"))
    assert found.state is State.BROKEN
    assert "CB3: " in found.summary
    assert f"({CALLER}/" in found.summary


def test_nothing_is_held_where_the_calls_of_one_caller_are_lost() -> None:
    gone = [Sample(at, f"breaker/{REGISTRY}", 0.0, {"pod": "gone"}) for at in range(int(UNTIL))]
    found = check(run().recorded, samples=[*run().samples, *gone])
    assert (found.state, set(states(found.detail).values())) == (State.UNKNOWN, {"unknown"})
    assert found.summary == "what gone called is lost: it is gone"
    silent = check(run().recorded, samples=[*run().samples, *gone], unread={"gone": "no answer within 5 s"})
    assert silent.summary == "what gone called is lost: no answer within 5 s"


def test_what_is_recorded_still_accuses_where_the_calls_of_another_are_lost() -> None:
    gone = [Sample(at, f"breaker/{REGISTRY}", 0.0, {"pod": "gone"}) for at in range(int(UNTIL))]
    seen = run("never opens")
    assert "CB3: " in check(seen.recorded, seen=seen, samples=[*seen.samples, *gone]).summary


def test_who_was_gone_before_the_fault_hides_nothing() -> None:
    gone = [Sample(at / 10, f"breaker/{REGISTRY}", 0.0, {"pod": "gone"}) for at in range(int(FAILING * 10))]
    assert check(run().recorded, samples=[*run().samples, *gone]).state is State.HELD


@pytest.mark.parametrize("whole", [False, True])
def test_a_process_that_began_anew_took_its_calls_with_it(whole: bool) -> None:
    found = check(begun(CLOSED, whole=whole))
    assert (found.state, found.summary) == (State.UNKNOWN, f"what {CALLER} called before 12 s is lost")


def begun(since: float, *, whole: bool) -> Recorded:
    """The record as it is when the process, or its memory, begins later."""
    one = run().recorded
    calls = tuple(call for call in one.calls if call.start >= since)
    return replace(one, since=since, whole=whole, calls=calls)


def test_a_new_caller_lost_nothing() -> None:
    later = [sample for sample in run().samples if sample.time > CLOSED]
    found = conforming.breakers(history(run(), begun(CLOSED, whole=True), samples=later), REGISTRY)
    assert (found.broken, found.timed, found.unknown) == ([], [], [])


def test_why_a_breaker_opened_is_unknown_where_what_it_knew_is() -> None:
    """Its memory reaches back less than its window."""
    found = conforming.breakers(history(run(), begun(1.0, whole=False)), REGISTRY)
    assert found.detail["CB2"].startswith("held: 1 ")  # the second time it opened
    far = replace(run().recorded, since=-60.0, whole=False)
    assert conforming.breakers(history(run(), far), REGISTRY).detail["CB2"].startswith("held: 2 ")
    # Without a success nobody knows how many failures in a row went before.
    failing = replace(far, calls=tuple(call for call in far.calls if call.start >= FAILING))
    assert conforming.breakers(history(run(), failing), REGISTRY).detail["CB2"].startswith("held: 1 ")


def test_a_record_that_puts_nothing_to_the_test_is_unknown() -> None:
    one = run().recorded
    first = next(call for call in one.calls if call.callee == REGISTRY)
    found = conforming.breakers(history(run(), replace(one, calls=(first,), attempts=())), REGISTRY)
    assert found.unknown == ["of 11 properties none was put to the test"]


def test_no_record_is_unknown_and_says_why() -> None:
    found = check(unread={"web-1": "no answer within 5 s"})
    assert found.state is State.UNKNOWN
    assert found.summary == "no calls were recorded (web-1: no answer within 5 s)"


def test_callers_that_declare_different_rules_are_unknown() -> None:
    one = run().recorded
    declared = {**one.declared, "breaker": {**one.declared["breaker"], "window": 1.0}}
    found = check(one, replace(one, caller="other", declared=declared))
    assert (found.state, found.summary) == (State.UNKNOWN, "2 callers declare 2 different rules")


def test_a_starved_machine_excuses_what_is_about_time_and_nothing_else() -> None:
    taken = [
        Sample(float(at), f"machine/{name}", value)
        for at in range(int(UNTIL) + 1)
        for name, value in (("idle", 0.0), ("others", 0.5))
    ]
    for mutant, state in (("never opens", State.BROKEN), ("waits half as long after a failed probe", State.UNKNOWN)):
        seen = run(mutant)
        assert check(seen.recorded, seen=seen).state is State.BROKEN
        assert check(seen.recorded, seen=seen, samples=[*seen.samples, *taken]).state is state


def test_what_is_tried_too_often_is_broken_in_the_record_too() -> None:
    found = conforming.retries(history(run("tries six times"), run("tries six times").recorded))
    assert [said.partition(":")[0] for said in found.broken] == ["RT1"]
    assert conforming.retries(history(run(), run().recorded)).broken == []
