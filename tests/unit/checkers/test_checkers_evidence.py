from __future__ import annotations

import pytest

from harness.checkers import evidence, hypothesis
from harness.model.verdict import State


def test_faults_that_were_felt_are_evidence(run, struck):
    found = evidence.check(run(faults=[struck(), struck(id="f-2", felt=13.0)]))
    assert (found.state, found.summary) == (State.HELD, "2 of 2 felt, the slowest after 3 s")


def test_zero_targets_are_unknown(run):
    assert evidence.check(run(faults=[])).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ({"injected": None, "felt": None, "healed": None}, "node_freeze on worker was never injected"),
        ({"felt": None}, "node_freeze on worker was not felt"),
        ({"healed": None}, "node_freeze on worker was not seen healed"),
    ],
)
def test_one_fault_without_evidence_makes_the_run_unknown(run, struck, missing, told):
    found = evidence.check(run(faults=[struck(), struck(**missing)]))
    assert (found.state, found.summary) == (State.UNKNOWN, told)


def miss(time, phase, **more):
    return {"time": time, "phase": phase, "name": "ready carts", "ok": False, "value": 1} | more


def test_a_hypothesis_that_never_missed_holds(run):
    assert hypothesis.check(run()).state is State.HELD


def test_a_miss_while_the_fault_lasts_is_what_faults_are_for(run):
    found = hypothesis.check(run(probe_failures=[miss(15.0, "hold")]))
    assert (found.state, found.in_fault) == (State.HELD, "1 missed")


def test_a_miss_before_the_fault_says_nothing_about_it(run):
    found = hypothesis.check(run(probe_failures=[miss(2.0, "baseline"), miss(29.0, "recovery")]))
    assert (found.state, found.summary) == (State.UNKNOWN, "not steady before the fault: ready carts was 1")
    assert hypothesis.check(run(window=None, probe_failures=[miss(2.0, "baseline")])).state is State.UNKNOWN


def test_a_miss_after_the_recovery_breaks_it(run):
    found = hypothesis.check(run(probe_failures=[miss(29.0, "recovery")]))
    assert (found.state, found.summary) == (State.BROKEN, "not steady afterwards: ready carts was 1")


def test_a_probe_that_could_not_look_is_unknown(run):
    found = hypothesis.check(run(probe_failures=[miss(29.0, "recovery", value=None, error="refused")]))
    assert (found.state, found.summary) == (State.UNKNOWN, "no answer afterwards: ready carts refused")
    assert "gave nothing" in hypothesis.check(run(probe_failures=[miss(29.0, "recovery", value=None)])).summary
