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


HELD_BEFORE = miss(1.0, "baseline", ok=True, value=3)
HELD_AFTER = miss(28.0, "recovery", ok=True, value=3)


def test_a_hypothesis_that_never_missed_holds(run):
    found = hypothesis.check(run(probes=[HELD_BEFORE, HELD_AFTER]))
    assert (found.state, found.summary) == (State.HELD, "held before and after")


def test_a_miss_while_the_fault_lasts_is_what_faults_are_for(run):
    found = hypothesis.check(run(probes=[HELD_BEFORE, miss(15.0, "hold"), HELD_AFTER]))
    assert (found.state, found.in_fault) == (State.HELD, "1 missed")


def test_a_miss_before_the_fault_says_nothing_about_it(run):
    found = hypothesis.check(run(probes=[miss(2.0, "baseline"), miss(29.0, "recovery")]))
    assert (found.state, found.summary) == (State.UNKNOWN, "not steady before the fault: ready carts was 1")
    assert hypothesis.check(run(window=None, probes=[miss(2.0, "baseline")])).state is State.UNKNOWN


def test_a_miss_after_the_recovery_breaks_it(run):
    found = hypothesis.check(run(probes=[HELD_BEFORE, miss(29.0, "recovery")]))
    assert (found.state, found.summary) == (State.BROKEN, "not steady afterwards: ready carts was 1")


def test_a_probe_that_could_not_look_is_unknown(run):
    found = hypothesis.check(run(probes=[HELD_BEFORE, miss(29.0, "recovery", value=None, error="refused")]))
    assert (found.state, found.summary) == (State.UNKNOWN, "no answer afterwards: ready carts refused")
    assert "gave nothing" in hypothesis.check(run(probes=[HELD_BEFORE, miss(29.0, "recovery", value=None)])).summary


def test_a_probe_that_was_never_asked_on_one_side_is_unknown(run):
    asked = {"time": 2.0, "phase": "baseline", "name": "ready carts", "ok": True, "value": 3}
    found = hypothesis.check(run(probes=[asked]))
    assert (found.state, found.summary) == (State.UNKNOWN, "never asked after the recovery")
    assert (found.baseline, found.in_fault, found.recovery) == ("held", "-", "no data")
    found = hypothesis.check(run(probes=[asked | {"time": 29.0, "phase": "recovery"}]))
    assert (found.state, found.summary) == (State.UNKNOWN, "never asked before the fault")
    assert hypothesis.check(run()).state is State.UNKNOWN


def test_a_hypothesis_alone_is_judged_by_its_phases(run):
    asked = [miss(2.0, "baseline", ok=True), miss(9.0, "recovery", ok=True)]
    assert hypothesis.check(run(window=None, faults=[], probes=asked)).state is State.HELD


def test_a_fault_that_was_cut_is_no_evidence(run, struck):
    found = evidence.check(run(faults=[struck(applied=None, felt=None)]))
    assert (found.state, found.summary) == (State.UNKNOWN, "node_freeze on worker was cut while being injected")


def test_the_time_to_feel_a_fault_begins_when_it_was_there(run, struck):
    slow = struck("pod_evict", injected=10.0, applied=15.0, felt=15.5)
    assert evidence.check(run(faults=[slow])).summary == "1 of 1 felt, the slowest after 500 ms"


def test_refusals_alone_disturbed_nothing(run, struck):
    refused = struck("pod_evict", evidence={"status": 429, "refused": True})
    found = evidence.check(run(faults=[refused, refused]))
    assert (found.state, found.summary) == (State.UNKNOWN, "nothing was disturbed: every eviction was refused")
    assert found.in_fault == "0 of 2"
    assert evidence.check(run(faults=[refused]), budget_asked=True).state is State.HELD
    assert evidence.check(run(faults=[refused, struck("pod_evict")])).state is State.HELD
    assert evidence.check(run(faults=[refused, struck("pod_evict", felt=None)])).state is State.UNKNOWN
