"""Read a Canary of Flagger, and the MetricTemplates of the same file, with a closed schema of what is judged."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.analysis import files
from harness.analysis.flagger import BUILTIN, DURATION, SUCCESS_RATE, TOTAL_WEIGHT, Canary, Check, weights
from harness.analysis.template import LONGEST_SECONDS, Question
from harness.model import units
from harness.source.closed import Problems, Section, nearest
from harness.source.lines import Source

KINDS = ("Canary",)
SPEC = (
    "provider", "metricsServer", "targetRef", "autoscalerRef", "ingressRef", "service", "progressDeadlineSeconds",
    "analysis", "revertOnDeletion",
)  # fmt: skip
ANALYSIS = (
    "interval", "threshold", "maxWeight", "stepWeight", "stepWeights", "stepWeightPromotion", "metrics", "alerts",
)  # fmt: skip
# They decide as well, and nothing here can say how.
TAKE_OUT = "take it out to judge the rest"
ANALYSIS_UNREAD = {
    "iterations": ("an analysis without weights is not judged", TAKE_OUT),
    "match": ("an A/B test is not judged", TAKE_OUT),
    "mirror": ("mirrored traffic is not judged", TAKE_OUT),
    "webhooks": ("nobody calls them here, and what they answer decides", TAKE_OUT),
    "sessionAffinity": ("who stays with a canary is not known here", TAKE_OUT),
}
METRIC = ("name", "interval", "threshold", "thresholdRange", "query", "templateRef")
# Flagger's defaults, and the shortest interval that it takes.
INTERVAL_SECONDS, SHORTEST_SECONDS = 60.0, 10.0
TAG = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)


def means(data: Any) -> bool:
    """Say whether an object is a canary of Flagger."""
    return isinstance(data, dict) and data.get("kind") == "Canary" and "flagger" in str(data.get("apiVersion"))


def read(source: Source, others: Sequence[Source], *, queries: bool) -> Canary:
    """Read one canary; raises UsageError naming each problem with its line.

    `queries` says whether its metrics are asked of a Prometheus, so that each needs a query: those of the built-in ones
    are Flagger's own, another one for each mesh.
    """
    problems = Problems(source)
    top = Section(problems, source.data, (), "the canary", ("apiVersion", "kind", "metadata", "spec"))
    spec = Section(problems, top.data.get("spec"), top.at("spec"), "spec", SPEC)
    data = spec.data.get("analysis")
    analysis = Section(problems, data, spec.at("analysis"), "analysis", ANALYSIS, unread=ANALYSIS_UNREAD)
    step = analysis.get("stepWeight", _weight, 0)
    listed: tuple[int, ...] = tuple(analysis.get("stepWeights", _weights, list[int]()))
    if step <= 0 and not listed:
        why = "without either the canary's weight stays 0"
        problems.add(analysis.place, "analysis needs 'stepWeight' or 'stepWeights'", why=why)
    most = analysis.get("maxWeight", _weight, 0) or TOTAL_WEIGHT
    known = {files.named(one.data): one for one in others if _template(one.data)}
    # Those with a template are checked last.
    metrics = sorted(analysis.items("metrics"), key=lambda one: isinstance(one[1], dict) and "templateRef" in one[1])
    canary = Canary(
        checks=tuple(_check(problems, item, place, source, known, queries) for place, item in metrics),
        interval=analysis.get("interval", _interval, INTERVAL_SECONDS),
        # None is one.
        threshold=analysis.get("threshold", units.integer, 0) or 1,
        steps=weights(step, most, listed) if step > 0 or listed else (),
        promotion_step=analysis.get("stepWeightPromotion", _weight, 0),
    )
    problems.refuse()
    return canary


def _template(data: Any) -> bool:
    return isinstance(data, dict) and data.get("kind") == "MetricTemplate"


def _check(
    problems: Problems, item: Any, place: Any, source: Source, known: Mapping[str, Source], queries: bool
) -> Check:
    one = Section(problems, item, place, "a metric", METRIC)
    name = one.get("name", units.text, "", required="it is told by it")
    limits = Section(problems, one.data.get("thresholdRange", {}), one.at("thresholdRange"), "thresholdRange",
                     ("min", "max"))  # fmt: skip
    least, most = limits.get("min", units.number, -math.inf), limits.get("max", units.number, math.inf)
    if "thresholdRange" not in one:
        limit = one.get("threshold", units.number, 0.0)
        least, most = (limit, math.inf) if name == SUCCESS_RATE else (-math.inf, limit)
    if name == DURATION:
        # Flagger cuts a limit to whole milliseconds.
        least, most = (value if math.isinf(value) else math.trunc(value) for value in (least, most))
    interval = one.get("interval", units.bounded(units.duration, LONGEST_SECONDS, 1.0), INTERVAL_SECONDS)
    query = one.get("query", units.text, "")
    if "templateRef" in one:
        query = _referred(problems, one, source, known, str(one.data.get("interval") or "1m"))
    elif queries and not query:
        why = "Flagger asks another query for each mesh" if name in BUILTIN else ""
        problems.add(place, f"'{name}' has no query", why=why, hint="query: ..., or --run with what it recorded")
    return Check(Question(name, query, over=interval), least, most)


def _referred(problems: Problems, one: Section, source: Source, known: Mapping[str, Source], interval: str) -> str:
    place = one.at("templateRef")
    reference = Section(problems, one.data["templateRef"], place, "templateRef", ("name", "namespace"))
    wanted = reference.get("name", units.text, "")
    if wanted not in known:
        problems.add(place, f"the MetricTemplate '{wanted}' is not in this file", hint=nearest(wanted, list(known)))
        return ""
    data = known[wanted].data
    spec = data.get("spec") if isinstance(data.get("spec"), dict) else {}
    provider = spec.get("provider")
    if not isinstance(provider, dict) or provider.get("type") != "prometheus":
        problems.add(place, f"the MetricTemplate '{wanted}' does not ask a Prometheus")
    target = source.data["spec"].get("targetRef")
    named = str(target.get("name") or "") if isinstance(target, dict) else ""
    metadata = source.data.get("metadata")
    values = {
        "name": files.named(source.data),
        "namespace": str(metadata.get("namespace") or "default") if isinstance(metadata, dict) else "default",
        "target": named,
        "service": named,
        "ingress": named,
        "interval": interval,
    }

    def put(match: re.Match[str]) -> str:
        if match[1] not in values:
            problems.add(place, f"'{match[0]}' in the MetricTemplate '{wanted}' is not read")
        return values.get(match[1], "")

    return TAG.sub(put, str(spec.get("query") or ""))


def _interval(value: Any) -> float:
    return max(SHORTEST_SECONDS, units.bounded(units.duration, LONGEST_SECONDS)(value))


def _weight(value: Any) -> int:
    return int(units.bounded(units.integer, TOTAL_WEIGHT)(value))


def _weights(value: Any) -> list[int]:
    found = [_weight(one) for one in units.listed(value, "weights, like [5, 10, 50]")]
    if found != sorted(set(found)) or not found[0]:
        raise ValueError("each weight is above the one before")
    return found
