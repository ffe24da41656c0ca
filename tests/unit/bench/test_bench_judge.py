"""The judge beside the controller: what is drawn, what is told apart, and that both make the same of the same."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections import Counter
from typing import Any

import pytest

from bench.judge import cases, drawing, judging, page, replies, watching
from bench.judge.cases import Case
from bench.judge.outcome import Compared, Measured, Metric, Outcome, compare
from bench.judge.page import Row
from harness.analysis import condition, measuring, syntax
from harness.analysis.checking import Mistake
from harness.analysis.syntax import Dialect
from tests.unit.bench.controller_stand_in import Controller

COUNT = 240


@functools.cache
def drawn() -> list[Case]:
    return cases.drawn(7, COUNT)


def beside(case: Case, **how: Any) -> tuple[Outcome, Outcome, Compared]:
    """Judge a case here and by the stand-in, and compare."""
    item = watching.run(case, 0)
    there = Controller(item, case.script, random.Random(case.number), ends=case.ends, **how)
    _, asked = there.run()
    here, _ = judging.judged(case, Dialect.V1_9)
    theirs = watching.outcome(there.told(), asked)
    return here, theirs, compare(here, theirs, case.script, replies.WORDED_OTHERWISE)


@functools.cache
def all_beside() -> list[tuple[Outcome, Outcome, Compared]]:
    return [beside(case) for case in drawn()]


def test_a_seed_draws_the_same_again_and_another_seed_others() -> None:
    assert cases.drawn(7, 20) == drawn()[:20]
    assert cases.drawn(8, 20) != drawn()[:20]


def test_everything_that_is_to_be_compared_is_drawn() -> None:
    rows = [Row(case, here, there) for case, (here, there, _) in zip(drawn(), all_beside(), strict=True)]
    phases = Counter("refused" if row.here.refused else str(row.here.phase) for row in rows)
    assert {*phases} == {"refused", "Successful", "Failed", "Inconclusive", "Error"}
    assert min(phases.values()) >= 15
    assert [case.broken for case in drawn() if case.broken][: len(cases.BROKEN)] == sorted(cases.BROKEN)
    for name, so in page.WITH.items():
        assert sum(map(so, rows)) >= 8, name
    used = {one["name"] for case in drawn() for one in case.template["spec"]["args"] if not case.broken}
    assert used == {"run", *cases.ARGUMENTS}
    given = {name for case in drawn() for names in case.script.values() for name in names}
    assert given == {*replies.REPLIES}
    metrics = [metric for case in drawn() for metric in case.template["spec"]["metrics"]]
    asked = {metric.get(key) for metric in metrics for key in ("successCondition", "failureCondition")}
    assert asked >= {*drawing.OF_VECTORS, *drawing.OF_SCALARS}
    assert len(asked & {*drawing.MISTAKES}) >= 10
    assert {case.ends for case in drawn()} == {None, *cases.ENDS}


def test_every_analysis_is_over_in_time_and_only_what_is_broken_on_purpose_is_refused() -> None:
    for case in drawn():
        here, seconds = judging.judged(case, Dialect.V1_9)
        assert seconds <= cases.LONGEST_SECONDS
        assert here.refused == bool(case.broken), case.number


@pytest.mark.parametrize("result", [0.99, [0.99, 0.99]])
def test_a_mistake_is_an_error_whatever_is_answered(result: Any) -> None:
    for text in drawing.MISTAKES:
        with pytest.raises(Mistake):
            condition.holds(syntax.parse(text, Dialect.V1_9), result, Dialect.V1_9)
    for text in drawing.OF_SCALARS if isinstance(result, float) else drawing.OF_VECTORS:
        condition.holds(syntax.parse(text, Dialect.V1_9), result, Dialect.V1_9)


def test_all_are_judged_as_by_a_controller_written_after_the_source() -> None:
    differing = {
        case.number: [str(one) for one in found.differences]
        for case, (_, _, found) in zip(drawn(), all_beside(), strict=True)
        if found.differences
    }
    assert differing == {}


def test_what_is_worded_otherwise_is_counted_and_no_difference() -> None:
    assert sum(found.worded for _, _, found in all_beside()) >= 10


def told(**more: Any) -> Outcome:
    one = Metric("Failed", "", 2, 1, 1, 0, 0, "q", (Measured(0, "Successful", "[1]"), Measured(1, "Failed", "[0]")))
    outcome = Outcome("Failed", 'Metric "m" assessed Failed due to failed (1) > failureLimit (0)', {"m": one})
    metric = {key: more.pop(key) for key in [*more] if key in Metric.__slots__ and key not in Outcome.__slots__}
    return dataclasses.replace(outcome, **{"metrics": {"m": dataclasses.replace(one, **metric)}, **more})


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (told(phase="Error"), "phase: 'Failed' here, 'Error' there"),
        (told(message="x"), "message: "),
        (told(refused=True), "refused: 'False' here, 'True' there"),
        (told(metrics={}), "metrics that were measured: \"['m']\" here, '[]' there"),
        (told(count=3), "m count: '2' here, '3' there"),
        (told(successful=2), "m successful"),
        (told(failed=2), "m failed"),
        (told(inconclusive=1), "m inconclusive"),
        (told(error=1), "m error"),
        (told(query="p"), "m query: 'q' here, 'p' there"),
        (told(measured=(Measured(0, "Successful", "[1]"),)), "m measurements: '2' here, '1' there"),
        (told(measured=(Measured(0, "Failed", "[1]"), Measured(1, "Failed", "[0]"))), "m measurement 1 phase"),
        (told(measured=(Measured(0, "Successful", "[1]"), Measured(1, "Failed", "[2]"))), "m measurement 2 value"),
        (
            told(measured=(Measured(0, "Successful", "[1]", "no"), Measured(1, "Failed", "[0]"))),
            "m measurement 1 message: '' here, 'no' there",
        ),
        (
            told(measured=(Measured(0, "Successful", "[1]"), Measured(3, "Failed", "[0]"))),
            "m measurement 2 taken: 'after 1.0 s' here, 'after 3.0 s' there",
        ),
    ],
)
def test_each_thing_that_differs_is_told_with_both_texts(other: Outcome, said: str) -> None:
    assert compare(told(), told(), {"m": ["[1]"]}).differences == []
    found = [str(one) for one in compare(told(), other, {"m": ["[1]"]}).differences]
    assert found
    assert found[0].startswith(said)


def test_words_are_free_of_what_no_parser_takes_and_of_nothing_else() -> None:
    def wrong(said: str, limit: str = "consecutiveErrors (1) > consecutiveErrorLimit (0)") -> Outcome:
        metric = Metric("Error", said, 0, 0, 0, 0, 1, "", (Measured(0, "Error", "", said),))
        return Outcome("Error", f'Metric "m" assessed Error due to {limit}: "Error Message: {said}"', {"m": metric})

    free = compare(wrong("ours"), wrong("theirs"), {"m": ["no JSON"]}, replies.WORDED_OTHERWISE)
    assert (free.differences, free.worded) == ([], 1)
    bound = compare(wrong("ours"), wrong("theirs"), {"m": ["HTTP 500"]}, replies.WORDED_OTHERWISE)
    assert len(bound.differences) == 3
    limits = compare(wrong("ours"), wrong("theirs", "another"), {"m": ["no JSON"]}, replies.WORDED_OTHERWISE)
    assert [one.what for one in limits.differences] == ["message"]


def test_a_measurement_that_was_answered_and_not_counted_is_told() -> None:
    case = next(one for one in drawn() if not one.broken and one.ends is None)
    there = Controller(watching.run(case, 0), case.script, random.Random(1))
    status, asked = there.run()
    name = status["metricResults"][0]["name"]
    twice = watching.outcome(there.told(), [*asked, (name, asked[-1][1], "[1]")])
    found = compare(judging.judged(case, Dialect.V1_9)[0], twice, case.script)
    assert any(one.what == f"{name} measurements" for one in found.differences)


def weakened(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Have the evaluator do one thing as it might be thought to be done."""
    from harness.analysis import assessing, course

    if what == "a limit is exceeded by what it says":
        real = assessing.exceeded
        monkeypatch.setattr(
            assessing,
            "exceeded",
            lambda tally: real(dataclasses.replace(tally, failed=tally.failed + (tally.failed > 0))),
        )
    elif what == "times have parts of a second":
        monkeypatch.setattr(course.math, "floor", lambda value: value)
    elif what == "an error is tried again after an interval":
        monkeypatch.setattr(course, "ERROR_RETRY_SECONDS", 1.0)
    elif what == "of two metrics an Error goes before a Failed":
        worse = assessing.WORSE
        monkeypatch.setattr(assessing, "WORSE", (*worse[:3], worse[4], worse[3]))
    elif what == "NaN fails":
        monkeypatch.setattr(measuring, "written", lambda result: "NaN")


@pytest.mark.parametrize(
    "what",
    [
        "a limit is exceeded by what it says",
        "times have parts of a second",
        "an error is tried again after an interval",
        "of two metrics an Error goes before a Failed",
        "NaN fails",
    ],
)
def test_an_evaluator_that_is_wrong_in_one_thing_is_found_out(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    weakened(monkeypatch, what)
    assert any(beside(case)[2].differences for case in drawn()[:120])
