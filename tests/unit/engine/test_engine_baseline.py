"""What does not hold before any fault is no fault's doing: the baseline is asked the same promises, with a margin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.documents import document
from harness.engine import judge
from harness.model.history import History, Operation
from harness.model.objective import Objective

TEXT = "{title: x, description: x, method: [], extensions: [{name: harness, objectives: {recovery: {within: 1s}}}]}"
SECONDS, RATE = 5.0, 40


def operation(number: int, *, ok: bool = True, took: float = 0.02, **more: Any) -> Operation:
    """Return the nth operation of a load that runs at RATE."""
    due = 100.0 + number / RATE
    return Operation(due, due, due + took, 200 if ok else 503, **more)


def amiss(operations: list[Operation], **promises: Mapping[str, Any]) -> list[str]:
    """Judge a baseline that began after 100 s of settling."""
    objectives = tuple(Objective(name.replace("_", "-"), parameters, "") for name, parameters in promises.items())
    experiment = replace(document.loads(TEXT, Path("x.yaml")), objectives=objectives)
    end = 100.0 + SECONDS
    return judge.baseline(experiment, History(0.0, end, None, operations, load_rate=RATE, steady_from=100.0))


GOOD = [operation(number) for number in range(int(SECONDS * RATE))]


def test_a_baseline_that_keeps_every_promise_is_not_amiss():
    assert amiss(GOOD, availability={"ratio": 0.995}, latency={"p95": 1.0}, retries={"max-attempts": 1.01}) == []


@pytest.mark.parametrize(
    ("bad", "ratio", "said"),
    [
        (1, 0.995, ["availability: 1 of 200 operations failed, the promise is 99.50 %"]),
        (10, 0.9, []),
        (11, 0.9, ["availability: 11 of 200 operations failed, the promise is 90 %"]),
    ],
)
def test_half_of_what_may_fail_is_left_to_the_fault(bad: int, ratio: float, said: list[str]):
    assert amiss([operation(n, ok=n >= bad) for n in range(200)], availability={"ratio": ratio}) == said


@pytest.mark.parametrize(("took", "said"), [(0.49, []), (0.6, ["latency: p95 was 600 ms, the promise is 1 s"])])
def test_half_of_the_time_is_left_to_the_fault(took: float, said: list[str]):
    assert amiss([operation(n, took=took) for n in range(200)], latency={"p95": 1.0}) == said


@pytest.mark.parametrize(("tried_again", "amount"), [(1, 0), (2, 1)])
def test_one_operation_that_was_tried_again_is_no_rate(tried_again: int, amount: int):
    seen = [operation(n, attempts=2 if n < tried_again else 1) for n in range(200)]
    assert len(amiss(seen, retries={"max-attempts": 1.01})) == amount


def test_what_was_due_before_the_system_had_settled_says_nothing():
    before = [replace(one, intended=one.intended - 50, status=503) for one in GOOD]
    assert amiss([*before, *GOOD], availability={"ratio": 0.995}) == []


def test_answers_that_do_not_come_are_amiss():
    assert amiss(GOOD[:20], availability={"ratio": 0.995}) == ["20 operations were answered, 160 were due"]


def test_a_load_that_is_late_itself_is_amiss():
    late = [operation(n, late=n % 2 == 0) for n in range(200)]
    assert amiss(late, availability={"ratio": 0.995}) == ["the load held up 100 of 200 operations itself"]


def test_a_run_without_load_has_no_baseline_to_judge():
    experiment = document.loads(TEXT, Path("x.yaml"))
    assert judge.baseline(experiment, History(0.0, 9.0, None, steady_from=4.0)) == []
