"""A balancer keeps its budget, retries elsewhere and ejects as declared; one that does not is found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from harness.checkers.traces import EJECTION as OUTLIERS
from harness.checkers.traces import judge
from harness.checkers.traces.calls import Trace
from harness.checkers.traces.rules import Rules
from harness.model.verdict import State
from tests.unit.traces.balancer import EJECTION, PANICS, RETRY, RULES, drive
from tests.unit.traces.mutants import MUTANTS

# Which settings are declared, and how the balancer differs from them.
BREAKS: dict[str, tuple[str, Rules, Callable[[], Trace]]] = {
    "heeds no budget": ("RT5", RULES, lambda: drive(retry=replace(RETRY, budget=None))),
    "tries the same host again": ("RT6", RULES, lambda: drive(elsewhere=False)),
    "takes too many hosts out": ("OD1", RULES, lambda: drive(ejection=replace(EJECTION, share=1.0))),
    "takes hosts back too soon": ("OD2", RULES, lambda: drive(ejection=replace(EJECTION, base=0.6))),
    "takes hosts back too late": ("OD2", RULES, lambda: drive(ejection=replace(EJECTION, base=3.5))),
    "does not panic": ("OD3", PANICS, drive),
}


@cache
def honest(*, panics: bool = False) -> Trace:
    return drive(ejection=PANICS.ejection if panics else EJECTION)  # type: ignore[arg-type]


def test_budget_redispatch_and_ejection_are_held_as_declared() -> None:
    found = judge(honest(), RULES)
    held = {name for name, ruling in found.items() if ruling.state is State.HELD}
    assert {"RT4", "RT5", "RT6", "OD1", "OD2"} <= held, found
    assert not {name for name, ruling in found.items() if ruling.state is State.BROKEN}


def test_hosts_that_are_too_few_are_all_asked() -> None:
    found = judge(honest(panics=True), PANICS)
    assert found["OD3"].state is State.HELD, found["OD3"]
    assert not {name for name, ruling in found.items() if ruling.state is State.BROKEN}


@pytest.mark.parametrize("name", BREAKS)
def test_a_balancer_that_breaks_one_property_is_found_out_and_of_nothing_else(name: str) -> None:
    property, rules, driven = BREAKS[name]
    found = judge(driven(), rules)
    assert {name for name, ruling in found.items() if ruling.state is State.BROKEN} == {property}, found
    assert found[property].proof is not None


def test_every_property_of_retries_and_ejection_has_a_caller_that_breaks_it() -> None:
    broken = {mutant.breaks for mutant in MUTANTS.values()} | {property for property, _, _ in BREAKS.values()}
    assert {f"RT{number}" for number in range(1, 8)} | set(OUTLIERS) <= broken


def test_where_attempts_are_few_silence_may_be_chance() -> None:
    trace = drive(ejection=replace(EJECTION, share=1.0))
    few = replace(trace, attempts=[one for one in trace.attempts if int(one.call[2:]) % 20 == 0])
    assert judge(few, RULES)["OD1"].state is State.UNKNOWN
