"""Read a canary configuration of Kayenta with a closed schema."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from harness.analysis.kayenta import OUTLIER_FACTOR, Config, Direction, Measure, Rule
from harness.model import units
from harness.source.closed import Problems, Section
from harness.source.lines import Place, Source

KINDS = ("a canary configuration of Kayenta",)
TOP = (
    "id", "name", "description", "applications", "configVersion", "createdTimestamp", "createdTimestampIso",
    "updatedTimestamp", "updatedTimestampIso", "judge", "metrics", "templates", "classifier",
)  # fmt: skip
METRIC = ("name", "query", "groups", "analysisConfigurations", "scopeName")
CANARY = ("direction", "nanStrategy", "critical", "mustHaveData", "effectSize", "outliers")
EFFECT = ("measure", "allowedIncrease", "allowedDecrease")
EFFECT_UNREAD = dict.fromkeys(("criticalIncrease", "criticalDecrease"), ("", "critical: true, with the allowed one"))
JUDGE = "NetflixACAJudge-v1.0"
E = TypeVar("E", bound=StrEnum)


class Nan(StrEnum):
    """What becomes of a value that is no number."""

    REMOVE = "remove"
    REPLACE = "replace"


class Outliers(StrEnum):
    """What becomes of values far from the others."""

    KEEP = "keep"
    REMOVE = "remove"


def means(data: Any) -> bool:
    """Say whether an object is a canary configuration."""
    return isinstance(data, dict) and {"metrics", "classifier"} <= data.keys() and "kind" not in data


def read(source: Source) -> Config:
    """Read one configuration; raises UsageError naming each problem with its line."""
    problems = Problems(source)
    top = Section(problems, source.data, (), "the configuration", TOP)
    judge = Section(problems, top.data.get("judge", {}), top.at("judge"), "judge", ("name", "judgeConfigurations"))
    if judge.data.get("name", JUDGE) != JUDGE:
        problems.add(judge.at("name"), f"the judge {units.shown(judge.data['name'])} is not known", hint=JUDGE)
    rules = tuple(_rule(problems, item, place) for place, item in top.items("metrics"))
    if not rules:
        problems.add(top.at("metrics"), "there is no metric")
    names = [rule.name for rule in rules]
    for number, name in enumerate(names):
        if name in names[:number]:
            problems.add((*top.at("metrics"), number), f"the name '{name}' is here more than once")
    classifier = Section(
        problems, top.data.get("classifier"), top.at("classifier"), "classifier", ("groupWeights", "scoreThresholds")
    )
    weights: dict[str, float] = classifier.get("groupWeights", _weights, {})
    why = "a score alone is neither good nor bad"
    if "scoreThresholds" not in classifier:
        hint = "scoreThresholds: {pass: 95, marginal: 75}"
        problems.add(classifier.place, "classifier needs 'scoreThresholds'", why=why, hint=hint)
    limits = Section(
        problems, classifier.data.get("scoreThresholds", {}), classifier.at("scoreThresholds"), "scoreThresholds",
        ("pass", "marginal"),
    )  # fmt: skip
    read = units.bounded(units.number, 100.0)
    passing, marginal = (limits.get(key, read, 0.0) for key in ("pass", "marginal"))
    if "scoreThresholds" in classifier and not {"pass", "marginal"} <= limits.data.keys():
        problems.add(limits.place, "scoreThresholds needs 'pass' and 'marginal'", why=why)
    problems.refuse()
    return Config(rules, weights, passing, marginal)


def _rule(problems: Problems, item: Any, place: Place) -> Rule:
    metric = Section(problems, item, place, "a metric", METRIC)
    analysis = metric.data.get("analysisConfigurations", {})
    whole = Section(problems, analysis, metric.at("analysisConfigurations"), "analysisConfigurations", ("canary",))
    canary = Section(problems, whole.data.get("canary", {}), whole.at("canary"), "canary", CANARY)
    size = canary.data.get("effectSize", {})
    effect = Section(problems, size, canary.at("effectSize"), "effectSize", EFFECT, unread=EFFECT_UNREAD)
    measure = effect.get("measure", _one_of(Measure), Measure.MEAN_RATIO)
    outliers = Section(
        problems, canary.data.get("outliers", {}), canary.at("outliers"), "outliers", ("strategy", "outlierFactor")
    )
    removed = outliers.get("strategy", _one_of(Outliers), Outliers.KEEP) is Outliers.REMOVE
    return Rule(
        name=metric.get("name", units.text, "", required="its samples are told by it"),
        groups=tuple(metric.get("groups", units.names, [])),
        direction=canary.get("direction", _one_of(Direction), Direction.EITHER),
        replace_nan=canary.get("nanStrategy", _one_of(Nan), Nan.REMOVE) is Nan.REPLACE,
        critical=canary.get("critical", units.boolean, False),
        must_have_data=canary.get("mustHaveData", units.boolean, False),
        outlier_factor=outliers.get("outlierFactor", _positive, OUTLIER_FACTOR) if removed else None,
        measure=measure,
        allowed_increase=effect.get("allowedIncrease", units.number, measure.neutral),
        allowed_decrease=effect.get("allowedDecrease", units.number, measure.neutral),
    )


def _one_of(words: type[E]) -> Callable[[Any], E]:
    def read(value: Any) -> E:
        for word in words:
            if word.value == value:
                return word
        raise ValueError(f"{units.shown(value)} is none of {', '.join(words)}")

    return read


def _positive(value: Any) -> float:
    found = units.number(value)
    if found <= 0:
        raise ValueError(f"{units.shown(value)} is not above 0")
    return found


def _weights(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise ValueError(f"{units.shown(value)} is not a mapping of groups to their weights")
    found = {str(name): units.bounded(units.number, 100.0)(weight) for name, weight in value.items()}
    if sum(found.values()) > 100:
        raise ValueError("the weights are more than 100 together")
    return found
