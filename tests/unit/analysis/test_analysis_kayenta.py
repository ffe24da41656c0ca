"""A canary is judged against its baseline as Kayenta does; the shift is checked by looking at every difference."""

from __future__ import annotations

import itertools
import json
import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest

from harness.analysis import kayenta, kayenta_reading, mann_whitney
from harness.analysis.kayenta import Classified, Config, Direction, Label, Measure, Rule
from harness.errors import UsageError
from harness.source import lines

NAN = math.nan
LOW, HIGH = [10.0, 11.0, 9.0, 10.5, 9.5, 10.2, 9.8, 10.1], [20.0, 21.0, 19.0, 20.5, 19.5, 20.2, 19.8, 20.1]


def test_the_interval_is_the_one_that_r_gives() -> None:
    found = mann_whitney.shift([10.0, 20.0, 30.0, 40.0], [1.0, 2.0, 3.0, 4.0], 0.95)
    assert (round(found.low, 6), round(found.high, 6), round(found.estimate, 6)) == (6.0, 39.0, 22.5)


def brute(experiment: list[float], control: list[float], confidence: float) -> tuple[float, float, float]:
    """Count pairs between any two neighbouring differences; without ties there is nothing else to know."""
    size, whole = len(experiment) * len(control), len(experiment) + len(control)
    differences = sorted(x - y for x, y in itertools.product(experiment, control))
    wanted = statistics.NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(size * (whole + 1) / 12)

    def pairs(place: int) -> float:
        """Say how many pairs more than half are above a shift between the differences before and at a place."""
        more = (size - place) - size / 2
        return more - math.copysign(0.5, more) if more else 0.0

    low = next(differences[max(place - 1, 0)] for place in range(size + 1) if pairs(place) <= wanted)
    high = next(differences[min(place, size - 1)] for place in range(size, -1, -1) if pairs(place) >= -wanted)
    return low, high, statistics.median(differences)


def test_the_interval_and_the_estimate_are_those_of_all_differences() -> None:
    draw = random.Random(7)
    for _ in range(100):
        experiment = [draw.gauss(draw.choice([0, 1, 3]), 1) for _ in range(draw.randint(1, 9))]
        control = [draw.gauss(0, 1) for _ in range(draw.randint(1, 9))]
        confidence = draw.choice([0.5, 0.8, 0.95, 0.98])
        found = mann_whitney.shift(experiment, control, confidence)
        low, high, median = brute(experiment, control, confidence)
        assert (found.low, found.high) == (low, high)
        assert found.estimate == pytest.approx(median)


def test_where_both_samples_are_mostly_the_same_value_the_shift_is_none_at_all() -> None:
    """What lies next to 0 would make a shift of nothing, beside an estimate of nothing, one beyond tolerance."""
    draw = random.Random(9)
    ends = set()
    for usual in [0.0, 5.0, 0.7] * 60:
        control, experiment = (
            [usual + draw.choice([-0.1, 0.1, 0.2]) * (draw.random() < share) for _ in range(draw.randint(10, 40))]
            for share in (0.1, draw.choice([0.1, 0.3]))
        )
        found = mann_whitney.shift(experiment, control, 0.98)
        assert found.estimate == 0
        ends |= {math.copysign(1, end) if end else 0.0 for end in (found.low, found.high) if abs(end) < 0.05}
    assert ends == {0.0}


def test_the_effect_is_how_often_the_experiment_is_above() -> None:
    draw = random.Random(8)
    for _ in range(50):
        experiment, control = ([float(draw.randint(0, 5)) for _ in range(6)] for _ in range(2))
        pairs = [(x > y) + (x == y) / 2 for x in experiment for y in control]
        assert mann_whitney.effect(experiment, control) == pytest.approx(statistics.fmean(pairs))


@pytest.mark.parametrize(
    ("control", "experiment", "rule", "label"),
    [
        (LOW, HIGH, {}, Label.HIGH),
        (HIGH, LOW, {}, Label.LOW),
        (LOW, [*reversed(LOW)], {}, Label.PASS),
        (LOW, [value + 0.05 for value in LOW], {}, Label.PASS),
        (LOW, HIGH, {"direction": Direction.DECREASE}, Label.PASS),
        (HIGH, LOW, {"direction": Direction.INCREASE}, Label.PASS),
        (LOW, HIGH, {"direction": Direction.INCREASE}, Label.HIGH),
        (HIGH, LOW, {"direction": Direction.DECREASE}, Label.LOW),
        (LOW, HIGH, {"allowed_increase": 3.0}, Label.PASS),
        (LOW, HIGH, {"allowed_increase": 1.9}, Label.HIGH),
        (HIGH, LOW, {"allowed_decrease": 0.4}, Label.PASS),
        (HIGH, LOW, {"allowed_decrease": 0.6}, Label.LOW),
        (LOW, HIGH, {"measure": Measure.CLES, "allowed_increase": 0.9}, Label.HIGH),
        (HIGH, LOW, {"measure": Measure.CLES, "allowed_decrease": 0.1}, Label.LOW),
        ([0.0] * 8, HIGH, {"allowed_increase": 3.0}, Label.HIGH),
        ([0.0] * 15, [1.0, 0.0, 1.0, 0.0, 2.0, 0.0, 0.0], {}, Label.PASS),
        ([1.0, 0.0, 1.0, 0.0, 2.0, 0.0, 0.0], [0.0] * 15, {}, Label.PASS),
        ([1.0] * 3, [1.0] * 2, {}, Label.PASS),
        ([1.0] * 8, [2.0] * 8, {}, Label.HIGH),
        ([], LOW, {}, Label.NODATA),
        (LOW, [NAN, NAN], {}, Label.NODATA),
        (LOW, [], {"must_have_data": True}, Label.NODATA_FAIL),
        (LOW, [], {"must_have_data": True, "critical": True}, Label.NODATA),
        (LOW, [], {"replace_nan": True}, Label.PASS),
        (LOW, [NAN] * 8, {"replace_nan": True}, Label.LOW),
        (LOW, [*LOW, 1000.0, 1000.0, 1000.0, 1000.0], {}, Label.PASS),
    ],
)
def test_a_metric_is_classified(
    control: list[float], experiment: list[float], rule: dict[str, Any], label: Label
) -> None:
    assert kayenta.classify(Rule("m", **rule), control, experiment).label is label


def test_outliers_are_left_out_only_where_that_is_said_and_they_are_rare() -> None:
    values = [float(value % 10) for value in range(300)] + [1000.0]
    kept, left = (kayenta._cleaned(Rule("m", outlier_factor=factor), values) for factor in (None, 3.0))
    assert (max(kept), max(left), len(left)) == (1000.0, 9.0, 300)
    assert len(kayenta._cleaned(Rule("m", outlier_factor=3.0), [*values, *[1000.0] * 4])) == 305


def classified(*labels: tuple[str, Label] | tuple[str, Label, bool]) -> list[Classified]:
    return [
        Classified(Rule(f"m{number}", (group,), critical=bool(more)), label)
        for number, (group, label, *more) in enumerate(labels)
    ]


@pytest.mark.parametrize(
    ("results", "weights", "value", "classification"),
    [
        (classified(("a", Label.PASS), ("a", Label.HIGH)), {}, 50.0, "Fail"),
        (classified(("a", Label.PASS), ("b", Label.HIGH)), {"a": 80, "b": 20}, 80.0, "Marginal"),
        (classified(("a", Label.PASS), ("b", Label.HIGH), ("c", Label.PASS)), {"a": 50}, 75.0, "Marginal"),
        (classified(("a", Label.PASS), ("a", Label.PASS), ("b", Label.NODATA)), {}, 100.0, "Pass"),
        (classified(("a", Label.PASS), ("a", Label.NODATA_FAIL)), {}, 50.0, "Fail"),
        (classified(("a", Label.PASS), ("a", Label.NODATA)), {}, 0.0, "Fail"),
        (classified(("a", Label.PASS), ("a", Label.PASS), ("a", Label.LOW)), {}, 66.67, "Fail"),
        (classified(("a", Label.PASS), ("b", Label.HIGH, True)), {"a": 99, "b": 1}, 0.0, "Fail"),
        (classified(("a", Label.PASS), ("a", Label.PASS), ("b", Label.NODATA, True)), {}, 0.0, "Fail"),
    ],
)
def test_metrics_become_groups_and_groups_a_score(
    results: list[Classified], weights: dict[str, float], value: float, classification: str
) -> None:
    found = kayenta.score(Config(tuple(one.rule for one in results), weights, 95.0, 75.0), results)
    assert (found.value, found.classification) == (value, classification)
    assert bool(found.reason) == (value == 0.0)


CONFIG: dict[str, Any] = {
    "name": "c",
    "judge": {"name": "NetflixACAJudge-v1.0", "judgeConfigurations": {}},
    "metrics": [
        {
            "name": "errors",
            "query": {"type": "prometheus"},
            "groups": ["g"],
            "scopeName": "default",
            "analysisConfigurations": {
                "canary": {
                    "direction": "increase",
                    "nanStrategy": "replace",
                    "critical": True,
                    "effectSize": {"measure": "cles", "allowedIncrease": 0.7},
                    "outliers": {"strategy": "remove"},
                }
            },
        }
    ],
    "classifier": {"groupWeights": {"g": 100}, "scoreThresholds": {"pass": 95, "marginal": 75}},
}


def test_a_configuration_is_read() -> None:
    found = kayenta_reading.read(lines.read(json.dumps(CONFIG), Path("c.json")))
    rule = Rule("errors", ("g",), Direction.INCREASE, True, True, False, 3.0, Measure.CLES, 0.7, 0.5)
    assert found == Config((rule,), {"g": 100.0}, 95.0, 75.0)


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('"increase"', '"up"', "'up' is none of increase, decrease, either"),
        ('"allowedIncrease"', '"criticalIncrease"', "'criticalIncrease' is not read"),
        ('"replace"', '"drop"', "'drop' is none of remove, replace"),
        ('"critical"', '"kritical"', "did you mean 'critical'?"),
        ('"NetflixACAJudge-v1.0"', '"mine"', "the judge 'mine' is not known"),
        (', "scoreThresholds": {"pass": 95, "marginal": 75}', "", "needs 'scoreThresholds'"),
        ('"marginal": 75', '"marginal": 175', "is not between 0 and 100"),
        ('{"g": 100}', '{"g": 60, "h": 60}', "more than 100"),
    ],
)
def test_what_is_not_known_is_refused_with_its_line(was: str, becomes: str, said: str) -> None:
    text = json.dumps(CONFIG).replace(was, becomes)
    assert text != json.dumps(CONFIG)
    with pytest.raises(UsageError) as error:
        kayenta_reading.read(lines.read(text, Path("c.json")))
    assert "c.json:1" in str(error.value)
    assert said in str(error.value)
