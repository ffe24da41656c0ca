"""A run is read back from its journal alone: window, faults, samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.checkers import census, evidence
from harness.engine import judge
from harness.journal.event import Event
from harness.model.experiment import BlastRadius, Experiment, LoadSpec, Phases
from harness.model.history import Operation
from harness.model.objective import Objective
from harness.model.verdict import State

PLAN: dict[str, list[dict[str, Any]]] = {
    "faults": [
        {"id": "r-1", "kind": "pod_kill", "victim": {"namespace": "shop", "name": "web-1"}},
        {"id": "r-2", "kind": "node_cordon", "victim": {"namespace": "", "name": "n1"}},
    ]
}


def journal(*entries: tuple[float, str, dict[str, Any]]) -> list[Event]:
    """Number events as the writer does."""
    return [Event(n, 1000 + t, t, "inject", kind, data) for n, (t, kind, data) in enumerate(entries, 1)]


def test_the_window_runs_from_the_first_injection_to_the_last_healing() -> None:
    seen = judge.history(
        journal(
            (0, "plan", PLAN),
            (3, "fault.injected", {"id": "r-1", "at": 2.5, "facts": {"uid": "x"}}),
            (4, "fault.injected", {"id": "r-2", "at": 3.5, "facts": {}}),
            (5, "fault.felt", {"id": "r-1", "evidence": {"replacement": "y"}}),
            (7, "fault.healed", {"id": "r-2"}),
            (9, "fault.healed", {"id": "r-1"}),
            (12, "run.end", {}),
        ),
        [],
    )
    assert seen.window == (2.5, 9)
    assert [fault.victim for fault in seen.faults] == ["shop/web-1", "n1"]
    assert seen.faults[0].evidence == {"uid": "x", "replacement": "y"}
    assert seen.faults[1].felt is None


def test_what_a_fault_says_at_its_end_stands_beside_its_evidence_and_may_take_it_back() -> None:
    entries = [
        (0, "plan", PLAN),
        (3, "fault.injected", {"id": "r-1", "facts": {}}),
        (5, "fault.felt", {"id": "r-1", "evidence": {"request": "204 ms", "agent": "delayed the first packet"}}),
        (7, "fault.told", {"id": "r-1", "evidence": {"agent": "saw 9, delayed 8"}}),
    ]
    (found, _) = judge.history(journal(*entries), []).faults  # type: ignore[arg-type]
    assert found.evidence == {"request": "204 ms", "agent": "saw 9, delayed 8"}
    assert found.felt == 5
    missed = (8, "fault.not_felt", {"id": "r-1", "why": "1 packet passed without it"})
    (found, _) = judge.history(journal(*entries, missed), []).faults  # type: ignore[arg-type]
    assert found.felt is None


def test_a_fault_that_was_never_seen_healed_keeps_the_window_open_to_the_end() -> None:
    seen = judge.history(
        journal((0, "plan", PLAN), (3, "fault.injected", {"id": "r-1", "facts": {}}), (20, "run.end", {})), []
    )
    assert seen.window == (3, 20)


def test_a_run_without_injection_has_no_window() -> None:
    assert judge.history(journal((0, "plan", PLAN), (1, "run.end", {})), []).window is None


def test_a_step_whose_turn_never_came_is_no_evidence_beside_one_that_was_felt() -> None:
    late = [{"activity": "b", "kind": "pod_kill", "target": "1 of shop/a=b"}]
    first = {"faults": [{**PLAN["faults"][0], "activity": "a"}], "late": late}
    seen = [
        (2, "fault.injected", {"id": "r-1", "facts": {}}),
        (3, "fault.felt", {"id": "r-1", "evidence": {"uid": "x"}}),
        (4, "fault.healed", {"id": "r-1"}),
    ]
    cut = judge.history(journal((0, "plan", first), *seen, (9, "run.end", {})), [])
    found = evidence.check(cut)
    assert (found.state, found.in_fault) == (State.UNKNOWN, "1 of 2")
    assert found.summary == "pod_kill on 1 of shop/a=b was never injected"
    picked = {"faults": [{**PLAN["faults"][0], "id": "r-1-1", "activity": "b"}]}
    whole = judge.history(journal((0, "plan", first), *seen, (5, "plan", picked), (9, "run.end", {})), [])
    assert [fault.id for fault in whole.faults] == ["r-1", "r-1-1"]


def test_a_sample_that_carries_its_own_time_keeps_it() -> None:
    seen = judge.history(journal((9, "sample", {"series": "breaker/x", "value": 2.0, "time": 4.0})), [])
    assert seen.samples[0].time == 4.0


def test_a_series_that_was_fetched_afterwards_is_read_as_its_samples() -> None:
    told = {"series": "breaker/x", "labels": {"pod": "a"}, "start": 4.0, "step": 1, "values": [0.0, None, 2.0]}
    seen = judge.history(journal((9, "series", told)), [])
    assert [(one.time, one.value, one.labels) for one in seen.samples] == [
        (4.0, 0.0, {"pod": "a"}), (6.0, 2.0, {"pod": "a"}),
    ]  # fmt: skip


def test_ends_of_containers_and_addresses_are_read_back() -> None:
    ended = {"pod": "web-1", "container": "web", "exit_code": 137}
    seen = judge.history(journal((5, "restart", ended), (9, "addresses", {"pods": {"10.0.0.7": "web-1"}})), [])
    assert (seen.restarts, seen.addresses) == ([{"time": 5, **ended}], {"10.0.0.7": "web-1"})


def test_the_window_begins_when_an_injection_begins_and_a_fault_is_there_when_it_returns() -> None:
    seen = judge.history(
        journal(
            (0, "plan", PLAN),
            (3, "fault.injecting", {"id": "r-1"}),
            (8, "fault.injected", {"id": "r-1", "at": 2.9, "facts": {}}),
            (9, "fault.healed", {"id": "r-1"}),
        ),
        [],
    )
    assert seen.window == (3, 9)
    assert (seen.faults[0].injected, seen.faults[0].applied) == (3, 8)


def test_an_injection_that_was_cut_has_a_window_until_its_undo() -> None:
    cut = journal(
        (0, "plan", PLAN),
        (3, "fault.injecting", {"id": "r-1"}),
        (7, "undo", {"id": "r-1", "ok": True}),
        (20, "run.end", {}),
    )
    seen = judge.history(cut, [])
    assert seen.window == (3, 7)
    assert seen.faults[0].applied is None
    assert judge.history(cut[:2], []).window == (3, 3)


def test_answers_of_the_hypothesis_are_all_read_back() -> None:
    seen = judge.history(journal((1, "probe", {"name": "a", "ok": True}), (2, "probe", {"name": "a", "ok": False})), [])
    assert [(answer["time"], answer["phase"], answer["ok"]) for answer in seen.probes] == [
        (1, "inject", True),
        (2, "inject", False),
    ]


def experiment(**more: Any) -> Experiment:
    told: dict[str, Any] = {
        "path": Path("shop/x.yaml"), "title": "", "description": "", "tags": (), "hypothesis": "", "probes": (),
        "method": (), "rollbacks": (), "sets": frozenset(), "load": None, "phases": Phases(), "objectives": (),
        "abort_when": None, "blast_radius": BlastRadius(),
    }  # fmt: skip
    return Experiment(**told | more)


STRUCK = (
    (0, "plan", {"faults": PLAN["faults"][:1]}),
    (3, "fault.injected", {"id": "r-1", "facts": {"refused": True}}),
    (4, "fault.felt", {"id": "r-1"}),
    (9, "fault.healed", {"id": "r-1"}),
)
FELT = (STRUCK[0], (3, "fault.injected", {"id": "r-1", "facts": {}}), *STRUCK[2:])


def judged(events: list[Event], **more: Any) -> dict[str, tuple[State, str]]:
    """Return state and summary of each finding."""
    found = judge.findings(experiment(**more), judge.history(events, []), events)
    return {finding.checker: (finding.state, finding.summary) for finding in found}


@pytest.mark.case(2, "a foreign step that matched nothing, beside our extension", "no evidence: INCONCLUSIVE")
def test_a_step_that_matched_nothing_is_no_evidence_beside_a_fault_that_was_felt() -> None:
    step = {"name": "find nobody", "by": "shop.act", "acts": True, "status": "succeeded", "output": []}
    found = judged(journal(*FELT, (10, "step", step)))
    assert found["evidence"][0] is State.HELD
    assert found["steps"] == (State.UNKNOWN, "step 'find nobody' matched nothing")


@pytest.mark.case(1, "a foreign step whose effect nobody saw", "never PASS by the hypothesis alone")
def test_an_uncovered_step_is_proved_by_a_fault_that_was_felt_and_by_nothing_less() -> None:
    uncovered = ("step 'act', by shop.act",)
    assert judged(journal(), uncovered=uncovered, objectives=())["uncovered"][0] is State.UNKNOWN
    assert judged(journal(*FELT), uncovered=uncovered, objectives=())["uncovered"][0] is State.NOTED


def test_an_abort_that_a_breach_of_the_window_caused_is_a_broken_promise() -> None:
    abort = {"trigger": "abort-when", "why": "availability 40 % below 80 % for 10 s", "latency": 0.01}
    found = judged(journal(*STRUCK, (9.5, "abort", abort)))
    assert found["abort-when"] == (State.BROKEN, "availability 40 % below 80 % for 10 s")
    assert "abort-when" not in judged(journal(*STRUCK, (9.5, "abort", {**abort, "trigger": "lever"})))
    assert "abort-when" not in judged(journal((0, "plan", PLAN), (2, "abort", abort), (3, "run.end", {})))
    assert "abort-when" not in judged(journal(*STRUCK[:1], (2.99, "abort", {**abort, "latency": 0.5}), *STRUCK[1:]))


def test_refusals_are_evidence_only_where_a_budget_is_judged() -> None:
    events = journal(*STRUCK)
    assert judged(events)["evidence"] == (State.UNKNOWN, "nothing was disturbed: every eviction was refused")
    budget = Objective("disruption-budget", {"name": "web"})
    assert judged(events, objectives=(budget,))["evidence"][0] is State.HELD


def test_a_run_that_promised_nothing_is_unknown() -> None:
    load = LoadSpec("mixed", 10.0)
    assert judged(journal((1, "run.end", {})), load=load)["promise"] == (State.UNKNOWN, "nothing was promised")
    assert "promise" in judged(journal((1, "run.end", {})))
    assert "promise" not in judged(journal(*STRUCK), load=load, objectives=(Objective("recovery", {"within": 5.0}),))


def test_a_plain_action_promises_nothing_and_need_not() -> None:
    assert "promise" not in judged(journal(*STRUCK))


def test_every_run_notes_what_became_of_the_machine() -> None:
    assert judged(journal(*STRUCK))["machine"] == (State.NOTED, "not seen")
    sample = {"series": "machine/idle", "value": 0.5, "labels": {}, "time": 6.0}
    others = {**sample, "series": "machine/others", "value": 0.02}
    seen = journal(*STRUCK, (9.1, "sample", sample), (9.2, "sample", others))
    assert judged(seen)["machine"] == (State.NOTED, "others took at most 2 % of the CPU")


GOOD = Operation(1.0, 1.0, 1.1, 200)
LATE, UNSENT, LATE_AND_UNSENT = (
    replace(GOOD, late=True),
    replace(GOOD, unsent=True),
    replace(GOOD, late=True, unsent=True),
)


@pytest.mark.parametrize(
    ("ended", "operations", "why"),
    [
        ({"operations": 100}, [GOOD] * 98 + [LATE] * 2, ""),
        ({"operations": 100}, [GOOD] * 98 + [LATE_AND_UNSENT] * 2, ""),
        ({"operations": 100}, [GOOD] * 97 + [LATE, UNSENT, UNSENT], "the load held up 3 of 100 operations itself"),
        ({"operations": 0}, [], "the load made no operation"),
        ({"operations": 9}, [replace(GOOD, status=404)] * 9, "none of 9 operations was ever served, mostly status 404"),
        ({"operations": 100}, [GOOD] * 98, "the load made 100 operations, 98 were recorded"),
        ({"operations": 90, "lost": "status -9"}, [GOOD] * 90, "the load did not account for itself: status -9"),
        (None, [GOOD] * 9, "the load did not account for itself: it never ended"),
    ],
)
def test_a_load_that_did_not_keep_its_schedule_proves_nothing(
    ended: dict[str, Any] | None, operations: list[Operation], why: str
) -> None:
    events = journal((0, "load.started", {"rate": 10}), *([(9, "load.ended", ended)] if ended else []))
    found = judge.load(events, judge.history(events, operations))
    assert (found.state, found.summary) == ((State.UNKNOWN, why) if why else (State.HELD, "100 operations"))


STAGED = (
    (1.0, "load.started", {"rate": 10.0, "origin_ns": 0, "operations": [{"name": "read"}, {"name": "add"}]}),
    (10.0, "load.stages", {"points": [[10.0, 10.0], [20.0, 10.0], [20.0, 40.0]]}),
)


def test_a_load_in_stages_should_have_begun_what_its_stages_say() -> None:
    seen = judge.history(journal(*STAGED, (30.0, "run.end", {})), [])
    assert (seen.load_rate, seen.due(5.0, 15.0), seen.due(15.0, 25.0)) == (10.0, 100.0, 250.0)


def test_a_window_at_a_higher_stage_needs_as_many_operations() -> None:
    slow = [Operation(at / 10, at / 10, at / 10, 200) for at in range(100, 400)]
    struck = (
        (20.0, "fault.injected", {"id": "r-1", "at": 20.0, "facts": {}}),
        (40.0, "fault.healed", {"id": "r-1"}),
        (41.0, "run.end", {}),
    )
    seen = judge.history(journal((0, "plan", PLAN), *STAGED, *struck), slow)
    assert "the load should have made 800" in census.doubt(census.take(seen))


def test_the_load_says_which_kind_of_operation_failed() -> None:
    good = Operation(1.0, 1.0, 1.1, 200, good=True)
    bad = Operation(1.0, 1.0, 1.1, 200, good=False, amiss="json state differs", call=1)
    seen = [good, good, bad, replace(good, call=1)]
    events = journal(*STAGED, (30.0, "load.ended", {"operations": 4}))
    found = judge.load(events, judge.history(events, seen))
    assert (found.state, found.summary) == (State.HELD, "4 operations; failed: add 1 of 2")
    found = judge.load(events, judge.history(events, [bad] * 4))
    assert found.summary == "none of 4 operations was ever served, mostly json state differs"


def test_a_checker_that_breaks_knows_nothing_and_keeps_no_other_from_judging(experiment, monkeypatch) -> None:
    def breaks(*_: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setitem(judge.OBJECTIVES, "recovery", replace(judge.OBJECTIVES["recovery"], check=breaks))
    promised = replace(
        experiment(BlastRadius()),
        objectives=(Objective("recovery"), Objective("burn-rate", {"objective": 0.999, "max": 1})),
    )
    found = judge.findings(promised, judge.history([], []), [])
    assert (found[0].checker, found[0].state) == ("recovery", State.UNKNOWN)
    assert found[0].summary == "its checker broke: ZeroDivisionError: division by zero"
    assert found[1].checker == "burn-rate"


def test_what_was_due_counts_a_ramp() -> None:
    started = {"rate": 50.0, "ramp": 10.0}
    seen = judge.history(journal((0, "load.started", started), (20, "load.ended", {})), [])
    assert seen.due(0, 10) == 250
    assert seen.due(10, 20) == 500
    assert judge.history(journal((0, "load.started", started | {"ramp": 0.0}), (20, "x", {})), []).due(0, 10) == 500
