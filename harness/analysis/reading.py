"""Read an AnalysisTemplate with a closed schema: what the API server or the controller would refuse, with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.analysis import arguments, syntax
from harness.analysis.syntax import Dialect
from harness.analysis.template import (
    CONSECUTIVE_ERROR_LIMIT,
    LONGEST_SECONDS,
    TIMEOUT_SECONDS,
    Condition,
    Metric,
    Template,
)
from harness.model import units
from harness.source.closed import Problems, Section, nearest
from harness.source.lines import Place, Source

KINDS = ("AnalysisTemplate", "ClusterAnalysisTemplate")
SPEC = ("args", "metrics", "dryRun", "measurementRetention")
SPEC_UNREAD = {"templates": ("what they hold stands in other objects", "write their metrics out here")}
LIMITS = ("failureLimit", "inconclusiveLimit", "consecutiveErrorLimit", "consecutiveSuccessLimit")
METRIC = ("name", "interval", "initialDelay", "count", "successCondition", "failureCondition", *LIMITS, "provider")
PROMETHEUS = ("address", "query", "timeout", "insecure", "headers", "authentication")
OVER_A_RANGE = "a query over a range: rate(...[5m]), max_over_time(...[5m])"
PROMETHEUS_UNREAD = {"rangeQuery": ("its times are expressions of their own", OVER_A_RANGE)}
OTHERS = (
    "web", "job", "wavefront", "newRelic", "datadog", "cloudWatch", "graphite", "kayenta", "influxdb", "skywalking",
    "plugin",
)  # fmt: skip
SHORTEST_SECONDS = 1.0
# Go's regular expressions know neither; for the controller a rule with one of them matches nothing.
NOT_GO = re.compile(r"\(\?<?[=!]|\\[1-9]")
# Python's know none of these, or as something else.
NOT_PYTHON = re.compile(r"\[\[?:|\\[pPQzC]|\(\?[a-zA-Z]*U")


def means(data: Any) -> bool:
    """Say whether an object is a template."""
    return isinstance(data, dict) and data.get("kind") in KINDS


def read(source: Source, given: Mapping[str, str], dialect: Dialect = Dialect.V1_10) -> Template:
    """Read one template, with the arguments that are given; raises UsageError naming each problem with its line."""
    problems = Problems(source)
    top = Section(problems, source.data, (), "the template", ("apiVersion", "kind", "metadata", "spec"))
    spec = Section(problems, top.data.get("spec"), top.at("spec"), "spec", SPEC, unread=SPEC_UNREAD)
    values = arguments.read(spec, given)
    problems.refuse()
    metrics = [_metric(problems, item, place, values, dialect) for place, item in spec.items("metrics")]
    if not metrics:
        problems.add(spec.at("metrics"), "there is no metric", why="the controller refuses an analysis without one")
    for place, _ in spec.items("metrics"):
        if [one.name for one in metrics].count(name := metrics[int(place[-1])].name) > 1 and name:
            problems.add((*place, "name"), f"the name '{name}' is here more than once")
    dry = _dry(spec, [one.name for one in metrics])
    problems.refuse()
    return Template(tuple(replace(one, dry_run=one.name in dry) for one in metrics))


def _metric(problems: Problems, item: Any, place: Place, values: Mapping[str, str], dialect: Dialect) -> Metric:
    whole = arguments.filled(item, values, problems, place)
    one = Section(problems, whole, place, "a metric", METRIC)
    limit = {key: one.get(key, _limit(-1 if key == "failureLimit" else 0), 0) for key in LIMITS}
    if "consecutiveErrorLimit" not in one:
        limit["consecutiveErrorLimit"] = CONSECUTIVE_ERROR_LIMIT
    interval = one.get("interval", units.bounded(units.duration, LONGEST_SECONDS, SHORTEST_SECONDS), 0.0) or None
    query, timeout = _provider(one)
    found = Metric(
        name=one.get("name", units.text, "", required="its measurements are told by it"),
        query=query,
        success=_condition(one, "successCondition", dialect),
        failure=_condition(one, "failureCondition", dialect),
        interval=interval,
        initial_delay=one.get("initialDelay", units.bounded(units.duration, LONGEST_SECONDS), None),
        count=one.get("count", _limit(0), 0),
        failure_limit=limit["failureLimit"],
        inconclusive_limit=limit["inconclusiveLimit"],
        consecutive_error_limit=limit["consecutiveErrorLimit"],
        consecutive_success_limit=limit["consecutiveSuccessLimit"],
        timeout=timeout,
    )
    if isinstance(whole, dict):
        _validate(one, found)
    return found


def _validate(one: Section, metric: Metric) -> None:
    """Note what the controller calls an invalid analysis."""
    refused = "the controller refuses it"
    needed = max(0, metric.failure_limit) + metric.consecutive_success_limit
    if metric.count > 1 and "interval" not in one:
        one.problems.add(one.at("count"), "'count' above 1 needs an 'interval'", why=refused)
    if metric.count and metric.count < needed:
        both = "failureLimit + " if metric.failure_limit >= 0 else ""
        what = f"'count' is below {both}consecutiveSuccessLimit, {needed}"
        one.problems.add(one.at("count"), what, why=refused)
    if metric.count and metric.count < metric.inconclusive_limit:
        one.problems.add(one.at("count"), "'count' is below inconclusiveLimit", why=refused)
    if metric.failure_limit == -1 and not metric.consecutive_success_limit:
        what = "'failureLimit' is switched off, and so is consecutiveSuccessLimit"
        one.problems.add(one.at("failureLimit"), what, why=refused)


def _provider(one: Section) -> tuple[str, float]:
    data = one.data.get("provider")
    if not isinstance(data, dict) or not data:
        if "provider" not in one.meant:
            one.problems.add(one.at("provider"), "a metric needs a provider", hint="provider: {prometheus: ...}")
        return "", TIMEOUT_SECONDS
    for other in OTHERS:
        if other in data:
            why = "only what Prometheus answers, or a run recorded, is judged here"
            one.problems.add((*one.at("provider"), other), f"the provider '{other}' is not asked", why=why)
            return "", TIMEOUT_SECONDS
    provider = Section(one.problems, data, one.at("provider"), "a provider", ("prometheus",))
    asked, place = provider.data.get("prometheus"), provider.at("prometheus")
    section = Section(one.problems, asked, place, "prometheus", PROMETHEUS, unread=PROMETHEUS_UNREAD)
    query = section.get("query", units.text, "", required="it is what is asked")
    return query, float(section.get("timeout", _limit(0), 0) or TIMEOUT_SECONDS)


def _limit(least: int) -> Any:
    """Return a reader of whole numbers, which may be texts: an argument is one."""

    def read(value: Any) -> int:
        text = value.strip() if isinstance(value, str) else ""
        found = int(text) if re.fullmatch(r"-?\d{1,9}", text) else units.integer(value)
        if not least <= found < 1 << 31:
            raise ValueError(f"{units.shown(value)} is not between {least} and {(1 << 31) - 1}")
        return found

    return read


def _condition(one: Section, key: str, dialect: Dialect) -> Condition | None:
    text = one.data.get(key)
    if text is None or text == "":
        return None
    return one.get(key, lambda value: Condition(key, value, syntax.parse(units.quoted(value), dialect)), None)


def _dry(spec: Section, names: Sequence[str]) -> set[str]:
    """Return the metrics that are dry runs: a rule is a regular expression of Go's that is found anywhere in a name."""
    found: set[str] = set()
    for place, item in spec.items("dryRun"):
        rule = Section(spec.problems, item, place, "a rule", ("metricName",)).get(
            "metricName", units.text, "", required="it says which metrics are dry runs"
        )
        if NOT_PYTHON.search(rule):
            spec.problems.add(place, f"{units.shown(rule)} is a regular expression that is not read")
            continue
        matched = {name for name in names if name and _found(rule, name)}
        if rule and not matched:
            spec.problems.add(
                place,
                f"no metric's name matches {units.shown(rule)}",
                why="the controller refuses a rule that matches nothing; '*' alone is no regular expression",
                hint=nearest(rule, names) if rule not in ("*", "+", "?") else "'.*' means every metric",
            )
        found |= matched
    return found


def _found(rule: str, name: str) -> bool:
    try:
        return not NOT_GO.search(rule) and bool(re.search(rule, name))
    except re.error:
        return False
