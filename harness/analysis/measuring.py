"""Make a measurement of what a provider answered, as Argo Rollouts' `utils/evaluate` does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from harness.analysis import condition
from harness.analysis.checking import Mistake
from harness.analysis.condition import Result
from harness.analysis.syntax import Dialect
from harness.analysis.template import Condition, Metric

NO_DATA = "metric result is nil or empty: no data returned from the metric provider"


class Phase(StrEnum):
    """What a measurement, a metric or a run has come to."""

    SUCCESSFUL = "Successful"
    RUNNING = "Running"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"
    FAILED = "Failed"

    @property
    def completed(self) -> bool:
        """Say whether it is final."""
        return self is not Phase.RUNNING


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered: a scalar, the values of a vector, or why there is neither."""

    result: Result | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement: `value` as the controller writes it, `message` empty unless it is an Error."""

    phase: Phase
    value: str = ""
    message: str = ""

    @property
    def blind(self) -> bool:
        """Say whether it is Successful although there was no data, NaN or nothing at all."""
        return self.phase is Phase.SUCCESSFUL and set(self.value.strip("[]").split(",")) <= {"", "NaN"}


def measure(metric: Metric, answer: Answer, dialect: Dialect) -> Measurement:
    """Ask both conditions of an answer, success first: an error of either is one of the measurement.

    Without any condition every answer is Successful; with only a failure condition whatever does not fail is, NaN
    included, for NaN compares false.
    """
    if answer.result is None:
        return Measurement(Phase.ERROR, message=answer.error)
    value = written(answer.result)
    holds = {}
    for asked in (metric.success, metric.failure):
        if asked is None:
            continue
        try:
            holds[asked.key] = condition.holds(asked.node, answer.result, dialect)
        except Mistake as error:
            return Measurement(Phase.ERROR, value, _message(asked, answer.result, str(error), dialect))
    return Measurement(_phase(metric, holds), value)


def _phase(metric: Metric, holds: dict[str, bool]) -> Phase:
    succeeded = holds[metric.success.key] if metric.success else None
    failed = holds[metric.failure.key] if metric.failure else None
    if failed is None:
        return Phase.FAILED if succeeded is False else Phase.SUCCESSFUL
    if failed:
        return Phase.FAILED
    return Phase.INCONCLUSIVE if succeeded is False else Phase.SUCCESSFUL


def _message(asked: Condition, result: Result, error: str, dialect: Dialect) -> str:
    if dialect is Dialect.V1_9:
        return error
    empty = not isinstance(result, int | float) and not result
    return f'could not evaluate {asked.key} "{asked.text}": {NO_DATA if empty else error}'


def written(result: Result) -> str:
    """Write a result as the controller does: `0.95`, or `[0.95,NaN]`."""
    if isinstance(result, int | float):
        return _number(float(result))
    return f"[{','.join(_number(one) for one in result)}]"


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    # Go's shortest decimal without an exponent.
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0")
