"""What the evaluator makes of a case: the template as it is, the answers in their order, under a clock put forward."""

from __future__ import annotations

import copy
import json
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.judge import replies
from bench.judge.outcome import Measured, Metric, Outcome
from harness.analysis import course, reading
from harness.analysis.assessing import Verdict
from harness.analysis.course import Taken, Virtual
from harness.analysis.measuring import Answer, Phase
from harness.analysis.syntax import Dialect
from harness.analysis.template import Question
from harness.errors import UsageError
from harness.source import lines

if TYPE_CHECKING:
    from bench.judge.cases import Case

RUN = "c{}-{}"


def judged(case: Case, dialect: Dialect, attempt: int = 0, end: float = math.inf) -> tuple[Outcome, float]:
    """Return what a case comes to, and after how many seconds; one that is refused says why."""
    text = json.dumps(_read(case.template))
    given = {**case.given, "run": RUN.format(case.number, attempt)}
    try:
        template = reading.read(lines.read(text, Path("template.json")), given, dialect)
    except UsageError as error:
        return Outcome("Error", str(error), refused=True), 0.0
    asked: Counter[str] = Counter()

    def ask(question: Question, _: float) -> Answer:
        script = case.script[question.name]
        name = script[min(asked[question.name], len(script) - 1)]
        asked[question.name] += 1
        return replies.answer(name)

    clock, measured = Virtual(), defaultdict[str, list[Measured]](list)
    until = math.inf if case.ends is None else case.ends
    verdict = Verdict(Phase.RUNNING)
    for step in course.walk(template, ask, clock, dialect, until=until, end=end):
        if isinstance(step, Taken):
            one = step.measurement
            measured[step.metric.name].append(Measured(step.at, one.phase, one.value, one.message))
        else:
            verdict = step
    metrics = {
        one.metric.name: Metric(
            one.phase, one.message, one.count, one.successful, one.failed, one.inconclusive, one.error,
            _query(case, one.metric.name, one.metric.query), tuple(measured[one.metric.name]),
        )
        for one in verdict.tallies if one
    }  # fmt: skip
    return Outcome(verdict.phase, verdict.message, metrics), clock.now()


def lasts(case: Case, seconds: float) -> bool:
    """Say whether a case is over after so many seconds; what is refused here is not."""
    found, _ = judged(case, Dialect.V1_9, end=seconds)
    return not found.refused and found.phase != Phase.RUNNING


def _read(template: dict[str, Any]) -> dict[str, Any]:
    """Have a metric by web ask a Prometheus: what is asked is not read here, only what it is answered."""
    found = copy.deepcopy(template)
    for metric in found["spec"]["metrics"]:
        if web := metric["provider"].get("web"):
            metric["provider"] = {"prometheus": {"query": web["url"]}}
    return found


def _query(case: Case, name: str, query: str) -> str:
    """Return a query as the controller writes it down; of a metric by web it writes none."""
    item = next(one for one in case.template["spec"]["metrics"] if one["name"] == name)
    return query if "prometheus" in item["provider"] else ""
