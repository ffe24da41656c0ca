"""Draw analyses by seed and number: a template, its arguments, what each metric is answered, and when it is ended."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.judge import judging
from bench.judge.drawing import metric

Object = dict[str, Any]

NAMESPACE = "stack-report-judge"
# Ten seconds pass after each error: that is four of them in a row and a fifth.
LONGEST_SECONDS = 45.0
# Every so manieth is one that the controller is to refuse, each kind in turn.
BROKEN_EVERY, ENDED_SHARE, USED_SHARE = 8, 0.15, 0.2
# Between two whole seconds: measurements are taken right after one.
ENDS = (0.0, 1.7, 2.7, 4.7, 6.7)
ARGUMENTS: Mapping[str, tuple[str, str]] = {
    "threshold": ("0.95", "0.9"),
    "interval": ("1s", "2s"),
    "count": ("3", "4"),
    "limit": ("1", "2"),
    "note": ('it\'s "quoted", {braced} and <ä>', "two\nlines\tand a \\"),
}
DRY = ("m0", "^m1$", "^m", ".*", "m[12]")


@dataclass(frozen=True, slots=True)
class Case:
    """One analysis: its template, the arguments that are given, each metric's answers by name.

    It is ended after so many seconds (`ends`), 0 is before it begins, None is never. `broken` says why the controller
    is to refuse it.
    """

    number: int
    template: Object
    given: Mapping[str, str]
    script: Mapping[str, Sequence[str]]
    ends: float | None = None
    broken: str = ""


def drawn(seed: int, count: int) -> list[Case]:
    """Draw so many analyses that end in time; the same seed draws the same."""
    return [_one(seed, number) for number in range(count)]


def _one(seed: int, number: int) -> Case:
    for again in itertools.count():
        case = _drawn(random.Random(f"{seed}-{number}-{again}"), number)
        if case.broken or judging.lasts(case, LONGEST_SECONDS):
            return case
    raise AssertionError


def _drawn(draw: random.Random, number: int) -> Case:
    ends = draw.choice(ENDS) if draw.random() < ENDED_SHARE else None
    used = {name for name in ARGUMENTS if draw.random() < USED_SHARE}
    metrics, script = [], {}
    for place in range(draw.choice((1, 1, 1, 2, 2, 3))):
        # Measured at half a second, a metric could be just measured when the analysis is ended.
        item, answers = metric(draw, f"m{place}", used, whole=ends is not None)
        metrics.append(item)
        script[f"m{place}"] = answers
    spec: Object = {"args": [{"name": "run"}], "metrics": metrics}
    given = {}
    for name in sorted(used):
        own, other = ARGUMENTS[name]
        kept = draw.random() < 0.6
        spec["args"].append({"name": name, "value": own} if kept else {"name": name})
        if not kept or draw.random() < 0.4:
            given[name] = other
    if draw.random() < 0.25:
        spec["dryRun"] = [{"metricName": draw.choice([one for one in DRY if len(metrics) > 1 or "1" not in one])}]
    # The default keeps ten measurements of each metric: all are compared.
    spec["measurementRetention"] = [{"metricName": ".*", "limit": 100}]
    broken = ""
    turn, rest = divmod(number + 1, BROKEN_EVERY)
    if not rest:
        broken, ends = sorted(BROKEN)[(turn - 1) % len(BROKEN)], None
        BROKEN[broken](spec)
    template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": f"c{number}"},
        "spec": spec,
    }
    return Case(number, template, given, script, ends, broken)


def _metric(**more: Any) -> Callable[[Object], None]:
    return lambda spec: spec["metrics"][0].update(more)


def _added(key: str, *items: Object) -> Callable[[Object], None]:
    return lambda spec: spec.update({key: [*spec.get(key, ()), *items]})


def _twice(spec: Object) -> None:
    spec["metrics"].append(dict(spec["metrics"][0]))


def _often_at_once(spec: Object) -> None:
    spec["metrics"][0].pop("interval", None)
    spec["metrics"][0]["count"] = 9


BROKEN: Mapping[str, Callable[[Object], None]] = {
    "no metric": lambda spec: spec.update(metrics=[]),
    "two of one name": _twice,
    "no provider": _metric(provider={}),
    "a tag for nothing": _metric(successCondition="result[0] > {{args.nothing}}"),
    "an argument without a value": _added("args", {"name": "lacking"}),
    "a dry run of nothing": _added("dryRun", {"metricName": "nothing"}),
    "a dry run of *": _added("dryRun", {"metricName": "*"}),
    "many without an interval": _often_at_once,
    "an interval that is none": _metric(interval="soon"),
    "a delay that is none": _metric(initialDelay="later"),
    "a count below its limits": _metric(interval="1s", count=2, failureLimit=2, consecutiveSuccessLimit=1),
    "a count below inconclusiveLimit": _metric(interval="1s", count=2, failureLimit=0, inconclusiveLimit=3),
    "a count below the successes wanted": _metric(interval="1s", count=2, failureLimit=-1, consecutiveSuccessLimit=3),
    "both limits off": _metric(failureLimit=-1, consecutiveSuccessLimit=0),
    "failureLimit -2": _metric(failureLimit=-2),
    "inconclusiveLimit -1": _metric(inconclusiveLimit=-1),
    "consecutiveErrorLimit -1": _metric(consecutiveErrorLimit=-1),
    "consecutiveSuccessLimit -1": _metric(consecutiveSuccessLimit=-1),
}
