"""Argo Rollouts' controller of analyses, written after its source (1.9.2) function by function, under its own clock.

It shares nothing with `harness.analysis` but what a condition comes to, which is compared with the language itself.
"""

from __future__ import annotations

import copy
import json
import math
import random
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from bench.judge import replies
from harness.analysis import condition, syntax
from harness.analysis.checking import Mistake
from harness.analysis.syntax import Dialect

Object = dict[str, Any]
COMPLETED = ("Successful", "Failed", "Inconclusive", "Error")
ORDER = ("Successful", "Running", "Pending", "Inconclusive", "Error", "Failed")
BEGINS = 1764410400
LOOK = 0.01


class Invalid(Exception):
    """What the controller says of a run that it does not begin."""


def duration(text: str) -> float:
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f'time: invalid duration "{text}"')
    return sum(float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit] for number, unit in parts)


def whole(metric: Object, key: str, default: int = 0) -> int:
    return int(metric.get(key, default))


class Controller:
    """One run from its creation to its end; `late` is how late a look may be, `ends` when somebody terminates it."""

    def __init__(self, run: Object, script: Any, draw: random.Random, *, late: float = 0.4, ends: float | None = None):
        self.spec, self.script, self.draw, self.late = run["spec"], script, draw, late
        self.status: Object = {}
        self.now = BEGINS + draw.random()
        self.asked: list[tuple[str, float, str]] = []
        self.counted: Counter[str] = Counter()
        self.ends = math.inf if not ends else BEGINS + ends

    def run(self) -> tuple[Object, list[tuple[str, float, str]]]:
        """Reconcile until the run is over; every change of its status is a reason to look again."""
        wake = math.inf
        for _ in range(10_000):
            before = copy.deepcopy(self.status)
            wake = min(wake, self.reconcile())
            self.persist()
            if self.status["phase"] in COMPLETED:
                return self.status, self.asked
            soon = self.now + LOOK if self.status != before else math.inf
            due = min(soon, wake + self.draw.random() * self.late if wake < math.inf else wake, self.ends)
            self.now = max(self.now, due)
            if due == self.ends:
                self.spec, self.ends = {**self.spec, "terminate": True}, math.inf
            elif due != soon:
                wake = math.inf
        raise AssertionError("it does not end")

    def persist(self) -> None:
        """Keep of each time what the API server keeps, its second."""
        if "startedAt" in self.status:
            self.status["startedAt"] = math.floor(self.status["startedAt"])
        for result in self.status.get("metricResults", ()):
            for one in result["measurements"]:
                one["finishedAt"] = math.floor(one["finishedAt"])

    def told(self) -> Object:
        """Return the status as it is read."""
        found = copy.deepcopy(self.status)
        if "startedAt" in found:
            found["startedAt"] = datetime.fromtimestamp(found["startedAt"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return found

    # reconcileAnalysisRun

    def reconcile(self) -> float:
        try:
            metrics = [self.resolved(metric) for metric in self.spec["metrics"]]
        except Invalid as error:
            return self.error(f"Unable to resolve metric arguments: {error}")
        try:
            validate(metrics)
            dry = dry_runs(self.spec.get("dryRun", ()), metrics)
        except Invalid as error:
            return self.error(f"Analysis spec invalid: {error}")
        for metric in self.tasks(metrics):
            self.measure(metric, dry)
        phase, message = self.assess(metrics, dry)
        if phase != self.status.get("phase"):
            self.status.update(phase=phase, message=message)
        return self.next_time(metrics)

    def error(self, message: str) -> float:
        self.status.update(phase="Error", message=message)
        return math.inf

    def resolved(self, metric: Object) -> Object:
        args = {f"args.{one['name']}": one.get("value") for one in self.spec["args"]}
        for name, value in args.items():
            if value is None:
                raise Invalid(f'argument "{name.removeprefix("args.")}" was not supplied')

        def put(match: re.Match[str]) -> str:
            if match[1].strip() not in args:
                raise Invalid(f"failed to resolve {{{{{match[1]}}}}}")
            return json.dumps(args[match[1].strip()])[1:-1]

        found: Object = json.loads(re.sub(r"\{\{(.*?)\}\}", put, json.dumps(metric)))
        return found

    def result(self, name: str) -> Object | None:
        return next((one for one in self.status.get("metricResults", ()) if one["name"] == name), None)

    @property
    def terminating(self) -> bool:
        results = self.status.get("metricResults", ())
        return bool(self.spec.get("terminate")) or any(
            one["phase"] in ("Failed", "Error", "Inconclusive") for one in results if not one["dryRun"]
        )

    # generateMetricTasks, runMeasurements

    def tasks(self, metrics: list[Object]) -> list[Object]:
        found = []
        for metric in metrics:
            result = self.result(metric["name"])
            if (result and result["phase"] in COMPLETED) or self.terminating:
                continue
            if result is None:
                delay = metric.get("initialDelay", "")
                if delay and ("startedAt" not in self.status or self.status["startedAt"] + duration(delay) > self.now):
                    continue
                found.append(metric)
            elif self.now > result["measurements"][-1]["finishedAt"] + pause(metric, result["measurements"][-1]):
                found.append(metric)
        return found

    def measure(self, metric: Object, dry: set[str]) -> None:
        name = metric["name"]
        names = self.script[name]
        reply = names[min(self.counted[name], len(names) - 1)]
        self.counted[name] += 1
        self.asked.append((name, self.now, reply))
        one = {**measured(metric, reply), "finishedAt": self.now + 0.005}
        result = self.result(name)
        if result is None:
            kept = dict.fromkeys(("count", "successful", "failed", "inconclusive", "error"), 0)
            result = {"name": name, "phase": "Running", "dryRun": name in dry, "measurements": [], **kept}
            result.update(consecutiveError=0, consecutiveSuccess=0)
            if "prometheus" in metric["provider"]:
                result["metadata"] = {"ResolvedPrometheusQuery": metric["provider"]["prometheus"]["query"]}
            self.status.setdefault("metricResults", []).append(result)
        wrong, good = one["phase"] == "Error", one["phase"] == "Successful"
        result[one["phase"].lower()] += 1
        result["count"] += not wrong
        result["consecutiveError"] = result["consecutiveError"] + 1 if wrong else 0
        result["consecutiveSuccess"] = result["consecutiveSuccess"] + 1 if good else 0
        result["measurements"].append(one)

    # assessRunStatus

    def assess(self, metrics: list[Object], dry: set[str]) -> tuple[str, str]:
        terminating, everything, worst = self.terminating, True, ""
        message = "Run Terminated" if self.spec.get("terminate") else ""
        self.status.setdefault("startedAt", self.now + 0.006)
        for metric in metrics:
            result = self.result(metric["name"])
            if result is None:
                everything = False
                continue
            phase = assess_metric(metric, result, terminating)
            if result["phase"] != phase:
                result.update(message=result["measurements"][-1].get("message", ""), phase=phase)
            if phase not in COMPLETED:
                everything = False
                continue
            _, why = exceeded(metric, result)
            if metric["name"] in dry:
                worst = worst or "Successful"
                if why:
                    result["message"] = f"Metric assessed {phase} due to {why}"
            elif not worst or ORDER.index(phase) > ORDER.index(worst):
                worst = phase
                if why:
                    message = f'Metric "{metric["name"]}" assessed {phase} due to {why}'
                    message += f': "Error Message: {result["message"]}"' if result["message"] else ""
        if terminating:
            return worst or "Successful", message
        return (worst, message) if everything and worst else ("Running", "")

    # calculateNextReconcileTime

    def next_time(self, metrics: list[Object]) -> float:
        due = math.inf
        for metric in metrics:
            result = self.result(metric["name"])
            if result is None:
                due = (
                    min(due, self.status["startedAt"] + duration(metric["initialDelay"]))
                    if "initialDelay" in metric
                    else due
                )
            elif result["phase"] not in COMPLETED:
                last = result["measurements"][-1]
                due = min(due, last["finishedAt"] + pause(metric, last) + 1e-6)
        return due


def pause(metric: Object, last: Object) -> float:
    return duration(metric["interval"]) if last["phase"] != "Error" and metric.get("interval") else 10.0


# ValidateMetrics, GetDryRunMetrics


def validate(metrics: list[Object]) -> None:
    if not metrics:
        raise Invalid("no metrics specified")
    names = [metric["name"] for metric in metrics]
    for place, metric in enumerate(metrics):
        if metric["name"] in names[:place]:
            raise Invalid(f"metrics[{place}]: duplicate name '{metric['name']}'")
        count, failed = whole(metric, "count"), whole(metric, "failureLimit")
        wanted, between = whole(metric, "consecutiveSuccessLimit"), whole(metric, "inconclusiveLimit")
        wrong = {
            "consecutiveSuccessLimit must be >= 0": wanted < 0,
            "failureLimit must be >= 0, or -1 to be disabled": failed < -1,
            "failureLimit and consecutiveSuccessLimit cannot both be disabled": wanted == 0 and failed == -1,
            "inconclusiveLimit must be >= 0": between < 0,
            "consecutiveErrorLimit must be >= 0": whole(metric, "consecutiveErrorLimit") < 0,
            "count must be >= failureLimit + consecutiveSuccessLimit": count > 0 <= failed and count < failed + wanted,
            "count must be >= consecutiveSuccessLimit": count > 0 > failed and count < wanted,
            "count must be >= inconclusiveLimit": 0 < count < between,
            "interval must be specified when count > 1": count > 1 and not metric.get("interval"),
            "no provider specified": not metric["provider"],
        }
        for text in wrong:
            if wrong[text]:
                raise Invalid(f"metrics[{place}]: {text}")
        for key in ("interval", "initialDelay"):
            try:
                duration(metric.get(key) or "0s")
            except ValueError as error:
                raise Invalid(f"metrics[{place}]: invalid {key} string: {error}") from None


def dry_runs(rules: Any, metrics: list[Object]) -> set[str]:
    found: set[str] = set()
    for place, rule in enumerate(rules):
        try:
            matched = {one["name"] for one in metrics if re.search(rule["metricName"], one["name"])}
        except re.error:
            matched = set()
        if not matched:
            raise Invalid(f"dryRun[{place}]: Rule didn't match any metric name(s)")
        found |= matched
    return found


# assessMetricStatus, assessMetricFailureInconclusiveOrError


def exceeded(metric: Object, result: Object) -> tuple[str, str]:
    found = ("", "")
    limits = (
        ("Failed", "failed", "failed", "failureLimit", 0),
        ("Inconclusive", "inconclusive", "inconclusive", "inconclusiveLimit", 0),
        ("Error", "consecutiveErrors", "consecutiveError", "consecutiveErrorLimit", 4),
    )
    for phase, words, key, limit, default in limits:
        most = whole(metric, limit, default)
        if result[key] > most and (most >= 0 or limit != "failureLimit"):
            found = phase, f"{words} ({result[key]}) > {limit} ({most})"
    return found


def assess_metric(metric: Object, result: Object, terminating: bool) -> str:
    if result["phase"] in COMPLETED:
        return str(result["phase"])
    if over := exceeded(metric, result)[0]:
        return over
    wanted = whole(metric, "consecutiveSuccessLimit")
    if wanted > 0 and result["consecutiveSuccess"] >= wanted:
        return "Successful"
    count = whole(metric, "count") or (None if metric.get("interval") else 1)
    if count is not None and result["count"] >= count:
        if whole(metric, "failureLimit") >= 0 and wanted > 0:
            return "Inconclusive"
        return "Failed" if wanted > 0 else "Successful"
    return "Successful" if terminating else "Running"


# The providers, and EvaluateResult


def measured(metric: Object, name: str) -> Object:
    reply = replies.REPLIES[name]
    try:
        result, value = by_web(reply) if "web" in metric["provider"] else prometheus(reply)
        phase = evaluated(metric, result)
    except (Invalid, Mistake) as error:
        return {"phase": "Error", "message": str(error)}
    return {"phase": phase, "value": value}


def prometheus(reply: Any) -> tuple[Any, str]:
    if not reply.status:
        raise Invalid('Post "http://replies.stack-report-judge/api/v1/query": EOF')
    if reply.status not in (200, 400, 422):
        kind = "server" if reply.status >= 500 else "client"
        raise Invalid(f"{kind}_error: {kind} error: {reply.status}")
    try:
        body = json.loads(reply.body)
    except ValueError:
        raise Invalid("bad_response: readObjectStart: expect { or n, but found <") from None
    if body["status"] == "error":
        raise Invalid(f"{body['errorType']}: {body['error']}")
    kind, found = body["data"]["resultType"], body["data"]["result"]
    if kind == "scalar":
        return float(found[1]), str(found[1])
    if kind == "string":
        raise Invalid('unmarshalerDecoder: unexpected value type "string", error found in #10 byte of ...')
    if kind == "vector":
        texts = [one["value"][1] if "value" in one else "0" for one in found]
    else:
        texts = [text for one in found for _, text in one["values"]]
    return [float(text) for text in texts], f"[{','.join(texts)}]"


def by_web(reply: Any) -> tuple[Any, str]:
    if reply.status != 200:
        raise Invalid(f"received non 2xx response code: {reply.status}")
    body = json.loads(reply.body)
    if "value" not in body:
        raise Invalid("Could not find JSONPath in body: value is not found")
    return float(body["value"]), json.dumps(body["value"])


def evaluated(metric: Object, result: Any) -> str:
    good, bad = (
        condition.holds(syntax.parse(text, Dialect.V1_9), result, Dialect.V1_9) if (text := metric.get(key)) else None
        for key in ("successCondition", "failureCondition")
    )
    if bad is None:
        return "Failed" if good is False else "Successful"
    if bad:
        return "Failed"
    return "Inconclusive" if good is False else "Successful"
