"""A canary of Flagger's takes Flagger's course: cumulative failures, weights, promotion, rollback."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.analysis import flagger, flagger_reading
from harness.analysis.course import Virtual
from harness.analysis.flagger import Canary, Check
from harness.analysis.measuring import Answer
from harness.analysis.template import Question
from harness.errors import UsageError
from harness.source import lines

NAN = math.nan


def canary(threshold: int = 2, steps: tuple[int, ...] = (20, 40), promotion: int = 0) -> Canary:
    return Canary((Check(Question("request-success-rate", "q"), 99.0),), 60.0, threshold, steps, promotion)


def walked(of: Canary, answers: Callable[[float], Answer], end: float = math.inf) -> list[tuple[float, str, int, int]]:
    ticks = flagger.walk(of, lambda _, at: answers(at), Virtual(), end=end)
    return [(one.at / 60, str(one.phase), one.weight, one.failed) for one in ticks]


def test_a_good_canary_is_promoted() -> None:
    assert walked(canary(), lambda _: Answer([99.0])) == [
        (0, "Progressing", 20, 0),
        (1, "Progressing", 40, 0),
        (2, "Promoting", 40, 0),
        (3, "Finalising", 0, 0),
        (4, "Succeeded", 0, 0),
    ]


def test_traffic_goes_back_in_steps_where_that_is_said() -> None:
    of = canary(steps=(100,), promotion=50)
    ticks = walked(of, lambda _: Answer(100.0))
    assert [(phase, weight) for _, phase, weight, _ in ticks] == [
        ("Progressing", 100), ("Promoting", 100), ("Promoting", 50), ("Finalising", 0), ("Succeeded", 0),
    ]  # fmt: skip
    said = [one.said for one in flagger.walk(of, lambda *_: Answer(100.0), Virtual())]
    assert said[2:4] == ["Advance primary weight 50", "Advance primary weight 100"]


def test_failed_checks_add_up_and_the_next_look_rolls_back() -> None:
    rates = {1: 98.0, 2: 99.5, 3: 98.0}
    assert walked(canary(), lambda at: Answer([rates.get(round(at / 60), 100.0)])) == [
        (0, "Progressing", 20, 0),
        (1, "Progressing", 20, 1),
        (2, "Progressing", 40, 1),
        (3, "Progressing", 40, 2),
        (4, "Failed", 0, 2),
    ]


@pytest.mark.parametrize("answer", [Answer([]), Answer([NAN]), Answer(NAN), Answer([100.0, NAN]), Answer(None, "away")])
def test_no_data_is_a_failed_check(answer: Answer) -> None:
    assert walked(canary(threshold=1), lambda _: answer)[-1] == (2, "Failed", 0, 1)


def test_of_several_series_the_last_one_counts() -> None:
    assert walked(canary(threshold=1), lambda _: Answer([0.0, 100.0]))[-1][1] == "Succeeded"


def test_the_first_failing_check_stops_the_look() -> None:
    asked: list[str] = []

    def ask(question: Question, at: float) -> Answer:
        asked.append(question.name)
        return Answer([5.0])

    checks = (Check(Question("a", "q")), Check(Question("b", "q"), most=4.0), Check(Question("c", "q"), most=3.0))
    ticks = list(flagger.walk(Canary(checks, 60.0, 1, (50,)), ask, Virtual()))
    assert asked == ["a", "b"]
    assert [one.said for one in ticks][1:] == [
        "Halt advancement b 5.00 > 4", "Rolling back, failed checks threshold reached 1",
    ]  # fmt: skip


def test_what_was_recorded_may_end_first() -> None:
    assert walked(canary(), lambda _: Answer([100.0]), end=90.0)[-1] == (1, "Progressing", 40, 0)


@pytest.mark.parametrize(
    ("step", "most", "listed", "right"),
    [
        (10, 30, (), (10, 20, 30)),
        (20, 50, (), (20, 40, 60)),
        (60, 100, (), (60, 100)),
        (0, 100, (1, 5, 80), (1, 5, 80)),
        (100, 100, (), (100,)),
    ],
)
def test_weights_go_up_by_steps(step: int, most: int, listed: tuple[int, ...], right: tuple[int, ...]) -> None:
    assert flagger.weights(step, most, listed) == right


TEXT = """\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: cart, namespace: shop}
spec:
  targetRef: {kind: Deployment, name: cart}
  service: {port: 80}
  analysis:
    interval: 5s
    threshold: 5
    maxWeight: 50
    stepWeight: 10
    metrics:
    - name: request-success-rate
      thresholdRange: {min: 99}
      interval: 1m
    - name: request-duration
      threshold: 500.9
    - name: not-found
      templateRef: {name: not-found}
      thresholdRange: {max: 5}
---
kind: MetricTemplate
metadata: {name: not-found}
spec:
  provider: {type: prometheus, address: http://x}
  query: rate(not_found{service="{{ target }}",ns="{{namespace}}"}[{{ interval }}])
"""


def read(text: str, *, queries: bool = False) -> Canary:
    sources = lines.read_all(text, Path("c.yaml"))
    return flagger_reading.read(sources[0], sources, queries=queries)


def test_a_canary_is_read_with_the_template_that_it_refers_to() -> None:
    found = read(TEXT)
    assert (found.interval, found.threshold, found.steps) == (10.0, 5, (10, 20, 30, 40, 50))
    rate, duration, missing = found.checks
    assert (rate.least, rate.most) == (99.0, math.inf)
    assert (duration.least, duration.most) == (-math.inf, 500)
    assert missing.question.query == 'rate(not_found{service="cart",ns="shop"}[1m])'
    assert missing.most == 5.0


def test_what_has_a_template_is_checked_last() -> None:
    text = TEXT.replace("name: request-success-rate\n", "name: first\n      templateRef: {name: not-found}\n", 1)
    assert [one.question.name for one in read(text).checks] == ["request-duration", "first", "not-found"]


def test_an_old_threshold_is_the_least_rate_and_the_most_of_anything_else() -> None:
    found = read(
        TEXT.replace("thresholdRange: {min: 99}", "threshold: 98").replace("thresholdRange: {max: 5}", "threshold: 3")
    )
    assert [(one.least, one.most) for one in found.checks] == [(98.0, math.inf), (-math.inf, 500), (-math.inf, 3.0)]


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("threshold: 5\n", "threshhold: 5\n", "c.yaml:9: unknown key 'threshhold'"),
        ("maxWeight: 50", "iterations: 5", "c.yaml:10: 'iterations' is not read"),
        ("maxWeight: 50", "webhooks: []", "c.yaml:10: 'webhooks' is not read"),
        ("stepWeight: 10", "alerts: []", "analysis needs 'stepWeight' or 'stepWeights'"),
        ("stepWeight: 10", "stepWeights: [5, 5]", "c.yaml:11: 'stepWeights': each weight"),
        ("templateRef: {name: not-found}", "templateRef: {name: not-fond}", "did you mean 'not-found'?"),
        ("{{ target }}", "{{ variables.x }}", "is not read"),
        ("type: prometheus", "type: datadog", "does not ask a Prometheus"),
    ],
)
def test_what_is_not_judged_is_refused_with_its_line(was: str, becomes: str, said: str) -> None:
    assert was in TEXT
    with pytest.raises(UsageError) as error:
        read(TEXT.replace(was, becomes, 1))
    assert said in str(error.value)


def test_a_prometheus_cannot_be_asked_what_only_flagger_knows() -> None:
    with pytest.raises(UsageError) as error:
        read(TEXT, queries=True)
    assert "c.yaml:13: 'request-success-rate' has no query" in str(error.value)
