"""Judge a canary against a baseline as Kayenta's NetflixACAJudge does: each metric, each group, one score."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.analysis import mann_whitney

# The judge's own: how much of the estimated shift is within tolerance, and how sure the interval is.
TOLERANCE = 0.25
CONFIDENCE = 0.98
OUTLIER_FACTOR = 3.0
# From this share of metrics without data on a canary is not judged by the others.
MOST_WITHOUT_DATA = 0.5


class Label(StrEnum):
    """What became of one metric."""

    PASS = "Pass"  # noqa: S105
    HIGH = "High"
    LOW = "Low"
    NODATA = "Nodata"
    NODATA_FAIL = "NodataFailMetric"


class Direction(StrEnum):
    """Which way a metric must not go."""

    INCREASE = "increase"
    DECREASE = "decrease"
    EITHER = "either"


class Measure(StrEnum):
    """How the size of an effect is told: the ratio of the means, or how often the canary is above the baseline."""

    MEAN_RATIO = "meanRatio"
    CLES = "cles"

    @property
    def neutral(self) -> float:
        """Return the size of no effect at all, beyond which everything is allowed to fail."""
        return 1.0 if self is Measure.MEAN_RATIO else 0.5


@dataclass(frozen=True, slots=True)
class Rule:
    """How one metric is judged: `replace_nan` by 0 instead of leaving it out, `outlier_factor` None keeps outliers."""

    name: str
    groups: tuple[str, ...] = ()
    direction: Direction = Direction.EITHER
    replace_nan: bool = False
    critical: bool = False
    must_have_data: bool = False
    outlier_factor: float | None = None
    measure: Measure = Measure.MEAN_RATIO
    allowed_increase: float = 1.0
    allowed_decrease: float = 1.0


@dataclass(frozen=True, slots=True)
class Config:
    """A canary configuration: its rules, the weight in per cent of the groups that have one, and the two thresholds."""

    rules: tuple[Rule, ...]
    weights: Mapping[str, float]
    passing: float
    marginal: float


@dataclass(frozen=True, slots=True)
class Classified:
    """One metric with its label, and the shift that it was given for, where there was one to look at."""

    rule: Rule
    label: Label
    shift: mann_whitney.Shift | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A canary's score from 0 to 100: `Pass`, `Marginal` or `Fail`, and why it is 0 whatever the groups are."""

    value: float
    classification: str
    reason: str = ""


def classify(rule: Rule, control: Sequence[float], experiment: Sequence[float]) -> Classified:
    """Compare what the canary did, the experiment, with what the baseline did.

    Where Kayenta adds noise to samples of one value each, so that its test has something to rank, none is needed here.
    """
    below, above = (_cleaned(rule, values) for values in (control, experiment))
    if not below or not above:
        if rule.replace_nan:
            return Classified(rule, Label.PASS)
        fails = rule.must_have_data and not rule.critical
        return Classified(rule, Label.NODATA_FAIL if fails else Label.NODATA)
    if sorted(below) == sorted(above) or len({*below, *above}) == 1:
        return Classified(rule, Label.PASS)
    shift = mann_whitney.shift(above, below, CONFIDENCE)
    bound, size = TOLERANCE * abs(shift.estimate), _effect(rule.measure, below, above)
    higher = shift.low > bound and not size < rule.allowed_increase
    lower = shift.high < -bound and not size > rule.allowed_decrease
    if higher and rule.direction is not Direction.DECREASE:
        return Classified(rule, Label.HIGH, shift)
    if lower and rule.direction is not Direction.INCREASE:
        return Classified(rule, Label.LOW, shift)
    return Classified(rule, Label.PASS, shift)


def _cleaned(rule: Rule, values: Sequence[float]) -> list[float]:
    if rule.replace_nan:
        found = [0.0 if math.isnan(value) else value for value in values]
    else:
        found = [value for value in values if not math.isnan(value)]
    if rule.outlier_factor is None or len(found) < 2:
        return found
    cut = statistics.quantiles(found, n=100, method="inclusive")
    first, lower, upper, last = cut[0], cut[24], cut[74], cut[98]
    spread = rule.outlier_factor * (upper - lower)
    least, most = min(first, lower - spread), max(last, upper + spread)
    return [value for value in found if least <= value <= most]


def _effect(measure: Measure, control: Sequence[float], experiment: Sequence[float]) -> float:
    """Return the size of the effect; NaN, which nothing is compared with, where a mean is 0."""
    if measure is Measure.CLES:
        return mann_whitney.effect(experiment, control)
    means = statistics.fmean(experiment), statistics.fmean(control)
    return means[0] / means[1] if all(means) else math.nan


def score(config: Config, results: Sequence[Classified]) -> Score:
    """Fold the metrics into groups and these into one score."""
    groups = {name: _group(name, results) for name in _names(results)}
    unweighted = [name for name in groups if name not in config.weights]
    rest = (100 - sum(config.weights.values())) / len(unweighted) if unweighted else 0.0
    value = round(sum(found * config.weights.get(name, rest) / 100 for name, found in groups.items()), 2)
    reason = _zero(results)
    value = 0.0 if reason else value
    classification = "Pass" if value >= config.passing else "Marginal" if value >= config.marginal else "Fail"
    return Score(value, classification, reason)


def _names(results: Sequence[Classified]) -> list[str]:
    return list(dict.fromkeys(group for one in results for group in one.rule.groups))


def _group(name: str, results: Sequence[Classified]) -> float:
    labels = [one.label for one in results if name in one.rule.groups and one.label is not Label.NODATA]
    return 100 * labels.count(Label.PASS) / len(labels) if labels else 100.0


def _zero(results: Sequence[Classified]) -> str:
    critical = [one.rule.name for one in results if one.rule.critical and one.label is not Label.PASS]
    if critical:
        return f"critical metrics failed: {', '.join(critical)}"
    without = sum(one.label is Label.NODATA for one in results)
    if results and without >= MOST_WITHOUT_DATA * len(results):
        return f"{without} of {len(results)} metrics had no data"
    return ""
