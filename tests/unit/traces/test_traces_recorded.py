"""What a service recorded of its calls is judged as the trace of them is, in a run as anywhere."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.checkers import OBJECTIVES, conforming
from harness.checkers.traces import BREAKER, RETRY, judge
from harness.checkers.traces.calls import Outcome, Trace
from harness.checkers.traces.ruling import Ruling
from harness.model.calls import Recorded
from harness.model.history import History, Operation, Sample
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


def test_what_is_unknown_of_one_breaker_hides_nothing_of_another() -> None:
    """A breaker that was open when the record began, as the experiment before left it, is one of many."""
    far = replace(run().recorded, since=-60.0, whole=False)
    refused = replace(far.calls[0], id="other/1", caller="other", callee="elsewhere", outcome=Outcome.REFUSED)
    open_before = replace(far, caller="other", calls=(refused,), attempts=())
    for one in (open_before, replace(open_before, calls=(replace(refused, callee=REGISTRY),))):
        assert conforming.breakers(history(run(), far, one), REGISTRY).detail["CB2"].startswith("held: 2 ")


def test_a_record_that_puts_nothing_to_the_test_is_unknown() -> None:
    one = run().recorded
    first = next(call for call in one.calls if call.callee == REGISTRY)
    found = conforming.breakers(history(run(), replace(one, calls=(first,), attempts=())), REGISTRY)
    assert found.unknown == ["of 11 properties none was put to the test"]


def test_no_record_is_unknown_and_says_why() -> None:
    found = check(unread={"web-1": "no answer within 5 s"})
    assert found.state is State.UNKNOWN
    assert found.summary == "no calls were recorded (web-1: no answer within 5 s)"


@pytest.mark.parametrize(
    ("declared", "lacks"),
    [
        ({}, "declares no 'breaker'"),
        ({"breaker": {"failure_threshold": 5.0}}, "declares no 'volume_threshold'"),
        ({"breaker": {"failure_threshold": math.nan}}, "cannot convert float NaN"),
    ],
)
def test_who_does_not_say_what_it_does_is_not_judged_and_named(declared: Any, lacks: str) -> None:
    silent = replace(run().recorded, caller="silent", declared=declared)
    assert lacks in check(silent).summary
    assert check(silent).state is State.UNKNOWN
    beside = check(run().recorded, silent)
    assert (beside.state, set(states(beside.detail).values())) == (State.UNKNOWN, {"unknown"})
    assert beside.summary == check(silent).summary
    never = run("never opens")
    assert "CB3: " in check(never.recorded, silent, seen=never).summary


def test_a_breaker_is_judged_although_nobody_says_what_its_client_does() -> None:
    declared = {"breaker": run().recorded.declared["breaker"]}
    assert check(replace(run().recorded, declared=declared)).state is State.HELD
    # How long what had begun before the record may last is not known, nor what it taught the breaker.
    far = replace(run().recorded, declared=declared, since=-60.0, whole=False)
    assert check(far).detail["CB2"].startswith("held: 1 ")


def test_callers_that_declare_different_rules_are_unknown() -> None:
    one = run().recorded
    declared = {**one.declared, "breaker": {**one.declared["breaker"], "window": 1.0}}
    found = check(one, replace(one, caller="other", declared=declared))
    assert (found.state, found.summary) == (State.UNKNOWN, "callers declare 2 different rules")


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


def tried(*recorded: Recorded, asked: Mapping[str, Any], seen: Seen | None = None, **more: Any) -> Finding:
    """What `retries` says; defaults are filled in, as they are when a document is read."""
    filled = {"min-retried": 1, "minimum-operations": 5, "conforms": True} | asked
    return OBJECTIVES["retries"].check(history(seen or run(), *recorded, **more), filled)


def test_retries_that_conform_are_all_that_is_asked_where_nothing_is_said_of_the_gateway() -> None:
    """Whether there was a load, and whether the gateway tried its failures again, was not asked."""
    lost = [Operation(at, at, at + 0.1, 503, attempts=1) for at in range(12)]
    for operations in ((), lost):
        found = tried(run().recorded, asked={}, operations=operations)
        assert (found.state, found.target) == (State.HELD, "conforms")
        assert found.summary.endswith("properties were put to the test and kept")
        six = run("tries six times")
        assert "RT1: " in tried(six.recorded, seen=six, asked={}, operations=operations).summary
        assert tried(asked={}, operations=operations).summary == "no calls were recorded"
    assert tried(run().recorded, asked={"max-tries": 3}, operations=()).state is State.UNKNOWN


def test_a_call_that_was_tried_too_often_accuses_where_no_load_was_seen() -> None:
    six = run("tries six times")
    found = tried(six.recorded, seen=six, asked={"max-tries": 3})
    assert found.state is State.BROKEN
    assert found.summary.startswith("RT1: ")


def test_who_does_not_say_what_it_tries_again_is_not_judged_and_named() -> None:
    silent = replace(run().recorded, declared={"breaker": run().recorded.declared["breaker"]})
    assert tried(silent, asked={}).summary == f"what {CALLER} called is not judged: it declares no 'client'"


def test_each_property_that_is_asked_is_judged_once_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Counter[str]()

    def counting(name: str, ask: Callable[..., Ruling]) -> Callable[..., Ruling]:
        def counted(*about: Any) -> Ruling:
            judged[name] += 1
            return ask(*about)

        return counted

    tables: list[Mapping[str, Callable[..., Ruling]]] = [BREAKER, RETRY]
    for table in tables:
        for name, ask in dict(table).items():
            monkeypatch.setitem(table, name, counting(name, ask))
    conforming.breakers(history(run(), run().recorded), REGISTRY)
    assert judged == dict.fromkeys(BREAKER, 1)
    judged.clear()
    conforming.retries(history(run(), run().recorded))
    assert judged == dict.fromkeys(("RT1", "RT2", "RT5"), 1)


def test_a_call_that_was_refused_is_in_the_record_too() -> None:
    assert Outcome.REFUSED in {call.outcome for call in run().recorded.calls}
