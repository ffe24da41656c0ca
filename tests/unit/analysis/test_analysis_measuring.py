"""Measurements come to the phases and messages of Argo Rollouts, NaN and nothing at all included."""

from __future__ import annotations

import math

import pytest

from harness.analysis import syntax
from harness.analysis.measuring import Answer, Measurement, Phase, measure, written
from harness.analysis.syntax import Dialect
from harness.analysis.template import Condition, Metric

NAN = math.nan


def metric(success: str = "", failure: str = "") -> Metric:
    def read(key: str, text: str) -> Condition | None:
        return Condition(key, text, syntax.parse(text)) if text else None

    return Metric("m", "up", read("successCondition", success), read("failureCondition", failure))


@pytest.mark.parametrize(
    ("success", "failure", "result", "phase"),
    [
        ("", "", NAN, Phase.SUCCESSFUL),
        ("", "", [], Phase.SUCCESSFUL),
        ("true", "", 1.0, Phase.SUCCESSFUL),
        ("false", "", 1.0, Phase.FAILED),
        ("", "true", 1.0, Phase.FAILED),
        ("", "false", 1.0, Phase.SUCCESSFUL),
        ("true", "false", 1.0, Phase.SUCCESSFUL),
        ("true", "true", 1.0, Phase.FAILED),
        ("false", "false", 1.0, Phase.INCONCLUSIVE),
        ("false", "true", 1.0, Phase.FAILED),
        ("true", "a == true", 1.0, Phase.ERROR),
        ("a == true", "true", 1.0, Phase.ERROR),
        ("result >= .95", "", NAN, Phase.FAILED),
        ("result >= .95", "result < .95", NAN, Phase.INCONCLUSIVE),
        ("isNaN(result) || result >= .95", "", NAN, Phase.SUCCESSFUL),
        ("", "result < .95", NAN, Phase.SUCCESSFUL),
        ("result >= .95", "", math.inf, Phase.SUCCESSFUL),
        ("result[0] >= .95", "", [], Phase.ERROR),
        ("len(result) == 0 || result[0] >= .95", "", [], Phase.SUCCESSFUL),
        ("len(result) > 0 && result[0] >= .95", "", [], Phase.FAILED),
        ("default(result, 0) < .05", "", [], Phase.ERROR),
    ],
)
def test_a_result_comes_to_the_controllers_phase(
    success: str, failure: str, result: float | list[float], phase: Phase
) -> None:
    assert measure(metric(success, failure), Answer(result), Dialect.V1_10).phase is phase


def test_each_dialect_says_an_error_in_its_own_words() -> None:
    asked = metric("result[0] >= 0.95")
    newer, older = (measure(asked, Answer([]), dialect).message for dialect in (Dialect.V1_10, Dialect.V1_9))
    assert newer == (
        'could not evaluate successCondition "result[0] >= 0.95": '
        "metric result is nil or empty: no data returned from the metric provider"
    )
    assert older == "reflect: slice index out of range"


def test_an_error_with_data_says_what_is_wrong_with_the_condition() -> None:
    found = measure(metric(failure="result > 1"), Answer([1.0]), Dialect.V1_10)
    wrong = "invalid operation: > (mismatched types []float64 and int)"
    assert found == Measurement(Phase.ERROR, "[1]", f'could not evaluate failureCondition "result > 1": {wrong}')


def test_a_provider_without_an_answer_is_an_error_with_its_words() -> None:
    found = measure(metric("result > 1"), Answer(None, "bad_data: parse error"), Dialect.V1_10)
    assert found == Measurement(Phase.ERROR, "", "bad_data: parse error")


def test_values_are_written_without_exponents() -> None:
    assert written([0.95, 1e-7, 1e21, NAN, -math.inf, 2.0]) == "[0.95,0.0000001,1000000000000000000000,NaN,-Inf,2]"
    assert written(math.inf) == "+Inf"
    assert written([]) == "[]"
