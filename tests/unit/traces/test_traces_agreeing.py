"""The objectives `breaker` and `retries`, which know less of a run, never say otherwise than the traces of it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checkers import OBJECTIVES
from harness.checkers.traces import judge
from harness.checkers.traces.calls import by_call
from harness.model.history import History, Operation
from harness.model.verdict import State
from tests.unit.traces.caller import FAILING, HEALTHY_AGAIN, REGISTRY, RULES, UNTIL, Build, Seen, drive
from tests.unit.traces.mutants import MUTANTS

BREAKER = {"dependency": REGISTRY, "within": 1.0, "threshold": 5, "closes-within": 2.0, "fast-failures": True}


def run(mutant: str) -> Seen:
    return drive(MUTANTS[mutant].build if mutant else Build())


def history(seen: Seen, **more: Any) -> History:
    return History(start=0.0, end=UNTIL, window=(FAILING, HEALTHY_AGAIN), samples=seen.samples, **more)


@pytest.mark.parametrize(
    ("mutant", "property", "state"),
    [
        ("", "CB3", State.HELD),
        ("never opens", "CB3", State.BROKEN),
        ("never half-opens", "CB6", State.BROKEN),
    ],
)
def test_states_that_were_sampled_agree_with_the_trace(mutant: str, property: str, state: State) -> None:
    seen = run(mutant)
    finding = OBJECTIVES["breaker"].check(history(seen), BREAKER)
    assert (finding.state, judge(seen.by_callee, RULES)[property].state) == (state, state), finding


@pytest.mark.parametrize(("mutant", "state"), [("", State.HELD), ("tries six times", State.BROKEN)])
def test_attempts_that_were_counted_agree_with_the_trace(mutant: str, state: State) -> None:
    seen = run(mutant)
    tries = by_call(seen.by_callee.attempts)
    operations = [
        Operation(
            one.start, one.start, one.end, 503 if one.outcome in RULES.retry.retriable else 200, len(tries[one.id])
        )
        for one in seen.by_callee.calls
        if one.id in tries and one.callee == REGISTRY
    ]
    finding = OBJECTIVES["retries"].check(history(seen, operations=operations), {"max-tries": 4})
    assert (finding.state, judge(seen.by_callee, RULES)["RT1"].state) == (state, state), finding
