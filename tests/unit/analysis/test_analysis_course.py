"""An analysis takes the course of Argo Rollouts: against an oracle that counts anew each time, over generated cases."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.analysis import course, reading
from harness.analysis.assessing import Verdict
from harness.analysis.course import Taken, Virtual
from harness.analysis.measuring import Answer
from harness.analysis.syntax import Dialect
from harness.analysis.template import Question
from harness.source import lines

CASES = 400
# A condition, and what it means of the values of a vector; None is an error.
MEANING: dict[str, Callable[[Sequence[float]], bool | None]] = {
    "result[0] >= 0.95": lambda values: values[0] >= 0.95 if values else None,
    "result[0] < 0.5": lambda values: values[0] < 0.5 if values else None,
    "len(result) == 0 || result[0] >= 0.95": lambda values: not values or values[0] >= 0.95,
    "all(result, {# > 0.6})": lambda values: all(value > 0.6 for value in values),
    "any(result, # < 0.5)": lambda values: any(value < 0.5 for value in values),
    "len(result) > 0 && isNaN(result[0])": lambda values: bool(values) and values[0] != values[0],
    "result >= 1": lambda values: None,
}
WORST = ["Successful", "Running", "Inconclusive", "Error", "Failed"]


def parsed(metrics: list[dict[str, Any]], **spec: Any) -> Any:
    document = {"kind": "AnalysisTemplate", "metadata": {"name": "t"}, "spec": {"metrics": metrics, **spec}}
    return reading.read(lines.read(yaml.safe_dump(document, sort_keys=False), Path("t.yaml")), {})


def metric(name: str = "m", **more: Any) -> dict[str, Any]:
    return {"name": name, "provider": {"prometheus": {"query": f"q:{name}"}}, **more}


def scripted(answers: dict[str, list[list[float] | None]]) -> course.Ask:
    """Answer each metric from its own list, the last one again and again."""
    asked: Counter[str] = Counter()

    def ask(question: Question, _: float) -> Answer:
        own = answers[question.name]
        number = min(asked[question.name], len(own) - 1)
        asked[question.name] += 1
        found = own[number]
        return Answer(None, "away") if found is None else Answer(found)

    return ask


def walked(metrics: list[dict[str, Any]], answers: Any, *, until: float, end: float, **spec: Any) -> Any:
    steps = list(
        course.walk(parsed(metrics, **spec), scripted(answers), Virtual(), Dialect.V1_10, until=until, end=end)
    )
    taken = [(round(one.at * 1000), one.metric.name, str(one.measurement.phase)) for one in steps[:-1]]
    return taken, (str(steps[-1].phase), steps[-1].message)


class Oracle:
    """The rules, told from the whole list of what was measured; nothing is counted along the way."""

    def __init__(self, metrics: list[dict[str, Any]], answers: Any, dry: set[str], until: float, end: float) -> None:
        self.metrics, self.answers, self.dry = metrics, answers, dry
        self.until, self.end = until * 1000, end * 1000
        self.seen: dict[str, list[tuple[int, str]]] = {one["name"]: [] for one in metrics}
        self.done: dict[str, str] = {}
        self.log: list[tuple[int, str, str]] = []

    def phase(self, one: dict[str, Any], values: list[float] | None) -> str:
        if values is None:
            return "Error"
        success, failure = (
            MEANING[one[key]](values) if key in one else "unasked" for key in ("successCondition", "failureCondition")
        )
        if success is None or failure is None:
            return "Error"
        table = {
            ("unasked", "unasked"): "Successful", (True, "unasked"): "Successful", (False, "unasked"): "Failed",
            ("unasked", True): "Failed", ("unasked", False): "Successful", (True, True): "Failed",
            (True, False): "Successful", (False, True): "Failed", (False, False): "Inconclusive",
        }  # fmt: skip
        return table[success, failure]

    def why(self, one: dict[str, Any]) -> tuple[str, str]:
        phases = [phase for _, phase in self.seen[one["name"]]]
        in_a_row = len(phases) - max((at for at, phase in enumerate(phases, 1) if phase != "Error"), default=0)
        limits = [
            ("Error", "consecutiveErrors", in_a_row, "consecutiveErrorLimit", one.get("consecutiveErrorLimit", 4)),
            ("Inconclusive", "inconclusive", phases.count("Inconclusive"), "inconclusiveLimit",
             one.get("inconclusiveLimit", 0)),
            ("Failed", "failed", phases.count("Failed"), "failureLimit", one.get("failureLimit", 0)),
        ]  # fmt: skip
        for phase, what, found, limit, most in limits:
            if found > most and most != -1:
                return phase, f"{what} ({found}) > {limit} ({most})"
        return "", ""

    def assess(self, one: dict[str, Any], terminating: bool) -> str:
        if over := self.why(one)[0]:
            return over
        phases = [phase for _, phase in self.seen[one["name"]]]
        wanted = one.get("consecutiveSuccessLimit", 0)
        if wanted and phases[-wanted:] == ["Successful"] * wanted:
            return "Successful"
        count = one.get("count", 0) or (None if "interval" in one else 1)
        if count is not None and len([phase for phase in phases if phase != "Error"]) >= count:
            return "Successful" if not wanted else "Inconclusive" if one.get("failureLimit", 0) >= 0 else "Failed"
        return "Successful" if terminating else "Running"

    def due(self, one: dict[str, Any]) -> float:
        seen = self.seen[one["name"]]
        if one["name"] in self.done:
            return math.inf
        if not seen:
            return int(one["initialDelay"][:-1]) * 1000 + 1 if "initialDelay" in one else -1
        at, phase = seen[-1]
        pause = 10 if phase == "Error" or "interval" not in one else int(one["interval"][:-1])
        return at // 1000 * 1000 + pause * 1000 + 1

    def bad(self) -> bool:
        return any(phase not in ("Successful",) and name not in self.dry for name, phase in self.done.items())

    def run(self) -> tuple[str, str]:
        now, looks = 0.0, 0
        while True:
            looks += 1
            stopped = now >= self.until
            terminating = stopped or self.bad()
            for one in self.metrics:
                name = one["name"]
                waits = looks == 1 and "initialDelay" in one
                if not terminating and not waits and self.due(one) <= now:
                    own = self.answers[name]
                    phase = self.phase(one, own[min(len(self.seen[name]), len(own) - 1)])
                    self.seen[name].append((int(now), phase))
                    self.log.append((int(now), name, phase))
            for one in self.metrics:
                name = one["name"]
                if self.seen[name] and name not in self.done and (phase := self.assess(one, terminating)) != "Running":
                    self.done[name] = phase
            if terminating or len(self.done) == len(self.metrics):
                return self.fold(stopped)
            if self.bad():
                continue
            now = min([self.until, *map(self.due, self.metrics)])
            if now > self.end:
                return "Running", ""

    def fold(self, stopped: bool) -> tuple[str, str]:
        message = "Run Terminated" if stopped else ""
        worst = ""
        for one in self.metrics:
            phase = self.done.get(one["name"], "")
            if not phase:
                continue
            if one["name"] in self.dry:
                worst = worst or "Successful"
                continue
            if not worst or WORST.index(phase) > WORST.index(worst):
                worst, (_, why) = phase, self.why(one)
                if why:
                    message = f'Metric "{one["name"]}" assessed {phase} due to {why}' + self.said(one)
        return worst or "Successful", message

    def said(self, one: dict[str, Any]) -> str:
        number = len(self.seen[one["name"]]) - 1
        if self.seen[one["name"]][-1][1] != "Error":
            return ""
        own = self.answers[one["name"]]
        values = own[min(number, len(own) - 1)]
        if values is None:
            return ': "Error Message: away"'
        key = next(
            key for key in ("successCondition", "failureCondition") if key in one and MEANING[one[key]](values) is None
        )
        wrong = (
            "metric result is nil or empty: no data returned from the metric provider"
            if not values
            else "invalid operation: >= (mismatched types []float64 and int)"
        )
        return f': "Error Message: could not evaluate {key} "{one[key]}": {wrong}"'


def generated(seed: int) -> tuple[list[dict[str, Any]], dict[str, Any], set[str], float, float]:
    draw = random.Random(seed)
    metrics, answers, dry = [], {}, set()
    for number in range(draw.choice([1, 1, 2, 3])):
        name = f"m{number}"
        one = metric(name)
        for key in ("successCondition", "failureCondition"):
            if draw.random() < 0.6:
                one[key] = draw.choice(list(MEANING)) if draw.random() < 0.8 else "result[0] >= 0.95"
        if draw.random() < 0.8:
            one["interval"] = f"{draw.choice([1, 2, 5, 10, 15])}s"
        if draw.random() < 0.3:
            one["initialDelay"] = f"{draw.choice([0, 1, 7, 30])}s"
        for key, most in {"failureLimit": 3, "inconclusiveLimit": 2, "consecutiveErrorLimit": 3}.items():
            if draw.random() < 0.4:
                one[key] = draw.randint(0, most)
        if draw.random() < 0.25:
            one["consecutiveSuccessLimit"] = draw.randint(1, 3)
            if draw.random() < 0.4:
                one["failureLimit"] = -1
        if "interval" in one and draw.random() < 0.7:
            least = max(one.get("failureLimit", 0), 0) + one.get("consecutiveSuccessLimit", 0)
            one["count"] = max(least, one.get("inconclusiveLimit", 0), 1) + draw.randint(0, 5)
        if draw.random() < 0.2:
            dry.add(name)
        values: list[Any] = [[0.99], [0.99], [0.99], [0.7], [0.4], [math.nan], [], [0.99, 0.4], None]
        mostly_right = [[0.99], [0.99], None]
        drawn = draw.choice([values, values, mostly_right, [draw.choice(values)]])
        answers[name] = [draw.choice(drawn) for _ in range(30)]
        metrics.append(one)
    return metrics, answers, dry, draw.choice([math.inf, math.inf, 0.0, 3.5, 61.0]), draw.choice([12.0, 45.5, 200.0])


def test_generated_analyses_take_the_course_that_the_rules_tell() -> None:
    differing, phases = [], Counter[str]()
    for seed in range(CASES):
        metrics, answers, dry, until, end = generated(seed)
        oracle = Oracle(metrics, answers, dry, until, end)
        right = oracle.run()
        spec = {"dryRun": [{"metricName": f"^{name}$"} for name in sorted(dry)]} if dry else {}
        found = walked(metrics, answers, until=until, end=end, **spec)
        phases[right[0]] += 1
        if found != (oracle.log, right):
            differing.append((seed, metrics, answers, found, (oracle.log, right)))
    assert differing == []
    assert set(phases) == set(WORST)
    assert min(phases.values()) >= 10


def test_a_limit_is_exceeded_by_more_than_it_says() -> None:
    one = metric(interval="1s", count=8, failureLimit=3, successCondition="result[0] >= 0.95")
    taken, verdict = walked([one], {"m": [[0.1]]}, until=math.inf, end=math.inf)
    assert len(taken) == 4
    assert verdict == ("Failed", 'Metric "m" assessed Failed due to failed (4) > failureLimit (3)')


def test_an_error_counts_as_no_measurement_and_is_tried_again_after_ten_seconds() -> None:
    one = metric(interval="60s", count=2, successCondition="result[0] >= 0.95")
    taken, verdict = walked([one], {"m": [None, None, [1.0]]}, until=math.inf, end=math.inf)
    assert taken == [(0, "m", "Error"), (10001, "m", "Error"), (20001, "m", "Successful"), (80001, "m", "Successful")]
    assert verdict == ("Successful", "")


def test_an_interval_is_counted_from_the_whole_second_in_which_a_measurement_ended() -> None:
    taken, _ = walked([metric(interval="1500ms", count=4)], {"m": [[1.0]]}, until=math.inf, end=math.inf)
    assert [at for at, _, _ in taken] == [0, 1501, 2501, 3501]
    bad = metric("bad", interval="2s", failureLimit=1, successCondition="result[0] >= 0.95")
    both = [metric("often", interval="1s"), bad]
    taken, _ = walked(both, {"often": [[1.0]], "bad": [[0.1]]}, until=math.inf, end=math.inf)
    assert [name for _, name, _ in taken] == ["often", "bad", "often", "often", "bad"]


def test_a_delay_that_ends_with_an_interval_is_over_in_the_same_look() -> None:
    late = metric("late", initialDelay="2s", successCondition="result[0] >= 0.95")
    often = metric("often", interval="2s", count=3)
    taken, _ = walked([late, often], {"late": [[0.1]], "often": [[1.0]]}, until=math.inf, end=math.inf)
    assert taken[1:] == [(2001, "late", "Failed"), (2001, "often", "Successful")]


def test_a_metric_with_a_delay_is_not_measured_at_the_first_look_however_short_the_delay() -> None:
    late, bad = metric("late", initialDelay="0s"), metric("bad", successCondition="result[0] >= 0.95")
    taken, verdict = walked([late, bad], {"late": [[1.0]], "bad": [[0.1]]}, until=math.inf, end=math.inf)
    assert [name for _, name, _ in taken] == ["bad"]
    assert verdict[0] == "Failed"
    taken, _ = walked([late, metric()], {"late": [[1.0]], "m": [[1.0]]}, until=math.inf, end=math.inf)
    assert [name for _, name, _ in taken] == ["m", "late"]


def test_of_two_limits_of_a_metric_an_error_goes_before_a_failure_and_of_two_metrics_a_failure() -> None:
    both = metric(interval="1s", successCondition="result[0] >= 0.95", consecutiveErrorLimit=0, failureLimit=1)
    _, verdict = walked([both], {"m": [[0.1], None]}, until=math.inf, end=math.inf)
    assert verdict[0] == "Error"
    wrong = metric("wrong", successCondition="result[0] >= 0.95", consecutiveErrorLimit=0)
    bad = metric("bad", successCondition="result[0] >= 0.95")
    _, verdict = walked([wrong, bad], {"wrong": [None], "bad": [[0.1]]}, until=math.inf, end=math.inf)
    assert verdict == ("Failed", 'Metric "bad" assessed Failed due to failed (1) > failureLimit (0)')


def test_a_metric_that_fails_ends_the_others() -> None:
    slow = metric("slow", interval="60s", count=10)
    bad = metric("bad", interval="10s", count=10, failureLimit=1, successCondition="result[0] >= 0.95")
    taken, verdict = walked([slow, bad], {"slow": [[1.0]], "bad": [[0.1]]}, until=math.inf, end=math.inf)
    assert [name for _, name, _ in taken] == ["slow", "bad", "bad"]
    assert verdict[0] == "Failed"


def test_a_dry_run_fails_nothing_but_holds_the_run_open() -> None:
    rule = {"dryRun": [{"metricName": "dry"}]}
    dry = metric("dry", interval="5s", count=3, failureLimit=2, successCondition="result[0] >= 0.95")
    taken, verdict = walked([dry, metric("m")], {"dry": [[0.1]], "m": [[1.0]]}, until=math.inf, end=math.inf, **rule)
    assert [name for _, name, _ in taken] == ["dry", "m", "dry", "dry"]
    assert verdict == ("Successful", "")


def test_an_analysis_that_is_ended_from_outside_is_successful_unless_a_limit_was_exceeded() -> None:
    endless = metric(interval="10s", failureLimit=5, successCondition="result[0] >= 0.95")
    taken, verdict = walked([endless], {"m": [[0.1]]}, until=25.0, end=math.inf)
    assert len(taken) == 3
    assert verdict == ("Successful", "Run Terminated")


def test_what_was_recorded_may_end_before_the_analysis() -> None:
    taken, verdict = walked([metric(interval="10s", count=5)], {"m": [[1.0]]}, until=math.inf, end=25.0)
    assert len(taken) == 3
    assert verdict == ("Running", "")


@pytest.mark.parametrize(("limit", "phase"), [(1, "Inconclusive"), (-1, "Failed")])
def test_successes_in_a_row_that_do_not_come_within_the_count(limit: int, phase: str) -> None:
    one = metric(interval="1s", count=4, consecutiveSuccessLimit=2, failureLimit=limit,
                 successCondition="result[0] >= 0.95")  # fmt: skip
    answers = [[1.0], [0.1], [1.0], None, [1.0]] if limit == 1 else [[1.0], [0.1], [1.0], [0.1]]
    _, verdict = walked([one], {"m": answers}, until=math.inf, end=math.inf)
    assert verdict == (phase, "")


def test_the_verdict_tells_of_each_metric_and_of_a_dry_run_why_it_failed() -> None:
    metrics = [
        metric("dry", successCondition="result[0] >= 0.95"),
        metric("m", interval="1s", count=2, failureLimit=1, successCondition="result[0] >= 0.95"),
        metric("late", initialDelay="1h", interval="1s"),
        metric("wrong", consecutiveErrorLimit=0, initialDelay="3s"),
    ]
    answers: Any = {"dry": [[0.1]], "m": [[0.1], [1.0]], "wrong": [None]}
    walk = course.walk(parsed(metrics, dryRun=[{"metricName": "dry"}]), scripted(answers), Virtual(), Dialect.V1_10)
    verdict = list(walk)[-1]
    assert isinstance(verdict, Verdict)
    dry, two, late, wrong = verdict.tallies
    assert late is None
    assert dry is not None
    assert (dry.phase, dry.message) == ("Failed", "Metric assessed Failed due to failed (1) > failureLimit (0)")
    assert two is not None
    assert (two.phase, two.message) == ("Successful", "")
    assert (two.count, two.successful, two.failed, two.inconclusive, two.error) == (2, 1, 1, 0, 0)
    assert wrong is not None
    assert (wrong.phase, wrong.message, wrong.count, wrong.error) == ("Error", "away", 0, 1)


def test_every_step_but_the_last_is_a_measurement() -> None:
    steps = list(course.walk(parsed([metric()]), scripted({"m": [[1.0]]}), Virtual(), Dialect.V1_10))
    assert [type(step) for step in steps] == [Taken, Verdict]
