"""The seed's client keeps what is declared, by its own word and its callee's; a caller that does not is found out."""

from __future__ import annotations

import pytest

from harness.checkers.traces import Ruling, judge
from harness.model.verdict import State
from tests.unit.traces.caller import RULES, Build, Seen, drive
from tests.unit.traces.mutants import MUTANTS

# It has one address to ask: where a retry goes is the balancer's.
NOT_ITS_OWN = {"RT6"}
# What had its effect only the callee knows.
BY_CALLEE_ALONE = {"RT7"}


def run(mutant: str = "") -> Seen:
    return drive(MUTANTS[mutant].build if mutant else Build())


def in_state(found: dict[str, Ruling], *states: State) -> set[str]:
    return {name for name, ruling in found.items() if ruling.state in states}


def test_the_seeds_client_keeps_everything_and_is_put_to_the_test() -> None:
    by_callee = judge(run().by_callee, RULES)
    assert in_state(by_callee, State.UNKNOWN, State.BROKEN) == NOT_ITS_OWN, by_callee


def test_the_caller_tells_the_same_but_for_what_it_cannot_know() -> None:
    by_caller = judge(run().by_caller, RULES)
    assert in_state(by_caller, State.UNKNOWN, State.BROKEN) == NOT_ITS_OWN | BY_CALLEE_ALONE, by_caller


def test_caller_and_callee_saw_the_same_attempts() -> None:
    sides = (run().by_caller, run().by_callee)
    caller, callee = ({(one.call, one.number, one.outcome) for one in side.attempts} for side in sides)
    assert caller == callee


@pytest.mark.parametrize("name", MUTANTS)
def test_a_caller_that_breaks_one_property_is_found_out_and_of_nothing_else(name: str) -> None:
    mutant = MUTANTS[name]
    found = judge(run(name).by_callee, RULES)
    assert in_state(found, State.BROKEN) == {mutant.breaks} | mutant.with_it, found
    assert found[mutant.breaks].proof is not None
    by_caller = judge(run(name).by_caller, RULES)
    assert in_state(by_caller, State.BROKEN) == in_state(found, State.BROKEN) - BY_CALLEE_ALONE


def test_every_property_of_a_breaker_has_a_caller_that_breaks_it() -> None:
    broken = {mutant.breaks for mutant in MUTANTS.values()}
    assert {f"CB{number}" for number in range(1, 12)} <= broken
