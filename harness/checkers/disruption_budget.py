"""Judge whether evictions stopped where the disruption budget says, with the eviction API's answers as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from harness.checkers import series
from harness.model.history import History, Sample
from harness.model.verdict import Finding, State

GRANTED, REFUSED, MISCONFIGURED = (200, 201), 429, 500
# What the API server gives as the cause when a budget refuses.
CAUSE = "DisruptionBudget"
# Reading a budget and asking for the eviction are two requests; others may be answered in between.
ASTRIDE = 1.0
VOLUNTARY = frozenset({"pod_evict", "node_drain", "node_cordon"})
Answers = Sequence[Mapping[str, Any]]


def check(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Compare every answer with the arithmetic: granted while `allowed` lasts, refused (429) after."""
    name, least = str(parameters["name"]), parameters.get("min-available")
    target = f"{name} decides" + (f", >= {least} ready" if least is not None else "")
    asked = [answer for answer in history.evictions if _answered(answer)]
    asked = [answer for answer in asked if _namespace(answer) == parameters.get("namespace", _namespace(answer))]
    if not asked:
        return Finding("disruption-budget", State.UNKNOWN, "no eviction was answered", target, in_fault="no data")
    namespace = _namespace(next((answer for answer in asked if answer.get("budget") == name), asked[0]))
    numbers = {
        key: series.by_pod(history.samples, f"pdb/{namespace}/{name}/{key}").get("", [])
        for key in ("allowed", "healthy", "desired")
    }
    ours = [answer for answer in asked if answer.get("budget") == name]
    others = [answer for answer in asked if answer.get("budget") != name and _aimed(history, answer)]
    granted = [answer for answer in ours + others if answer["status"] in GRANTED]
    ready = _ready(history, granted)
    lowest = min(ready, default=None)
    columns: dict[str, Any] = {
        "baseline": _column(numbers, min(answer["time"] for answer in asked) - ASTRIDE),
        "in_fault": _told(ours + others) + (f", least ready {lowest:g}" if lowest is not None else ""),
        "recovery": _column(numbers, history.end),
    }
    detail = {"granted": len(granted), "refused": _count(ours, REFUSED), "least_ready": lowest, "namespace": namespace}
    broken = [*_over(ours, numbers["allowed"]), *_under(ours, numbers["allowed"])]
    broken += _fell(history, granted, numbers)
    if least is not None and lowest is not None and lowest < least:
        broken.append(f"ready pods fell to {lowest:g}, the promise is {least}")
    watched = any(sample.series.startswith(("ready/", "pdb/")) for sample in history.samples)
    if not ours and not numbers["desired"] and watched and granted:
        broken.append(f"there is no budget {name} in {namespace}: {len(granted)} evictions were granted without it")
    elif others and granted and not ours:
        broken.append(f"{name} does not cover the evicted pods: {len(granted)} evictions were granted without it")
    why = _doubt(history, name, ours, others)
    if not why and least is not None and granted and lowest is None:
        why = "ready pods were not seen"
    if broken:
        state, summary = State.BROKEN, "; ".join(broken)
    elif why:
        state, summary = State.UNKNOWN, why
    else:
        state, summary = State.HELD, _told(ours)
    return Finding("disruption-budget", state, summary, target, **columns, detail=detail)


def _answered(answer: Mapping[str, Any]) -> bool:
    """Say whether a budget could have had a part in the answer; a server that had no time refuses with 429, too."""
    if answer["status"] == REFUSED:
        return bool(answer.get("cause", CAUSE) == CAUSE)
    return answer["status"] in (*GRANTED, MISCONFIGURED)


def _doubt(history: History, name: str, ours: Answers, others: Answers) -> str:
    """Say why the answers prove nothing; empty when they do."""
    if twice := _count([*ours, *others], MISCONFIGURED):
        return f"{twice} evictions failed with 500: more than one budget covers the pod"
    if not ours:
        return f"no eviction asked {name}"
    granted = [answer for answer in ours if answer["status"] in GRANTED]
    unread = sum(answer.get("allowed") is None for answer in granted)
    if unread:
        return f"{unread} evictions were granted while {name} could not be read"
    if not granted:
        return ""
    first = min(answer["time"] for answer in granted)
    end = history.window[1] if history.window else history.end
    series = f"pdb/{_namespace(granted[0])}/{name}/healthy"
    unseen = any(item.series == series and item.value is None and first <= item.time <= end for item in history.samples)
    return f"{name} was out of sight after an eviction" if unseen else ""


def _over(ours: Answers, allowed: series.Points) -> list[str]:
    """Find grants beyond what the budget allowed when it was read, or has come to allow since."""
    for answer in ours:
        if answer["status"] not in GRANTED or answer.get("allowed") is None:
            continue
        near = [other for other in ours if answer["time"] - ASTRIDE <= other["time"] <= answer["time"]]
        grants = _count(near, *GRANTED)
        read = max(int(other["allowed"]) for other in near if other.get("allowed") is not None)
        since = near[0]["time"] - ASTRIDE
        may = max([read, *(value for time, value in allowed if since <= time <= answer["time"])])
        if grants > may + _rises(allowed, since, answer["time"] + ASTRIDE):
            return [f"{grants} evictions were granted where the budget allowed {may:g}"]
    return []


def _under(ours: Answers, allowed: series.Points) -> list[str]:
    """Find refusals although the budget allowed more than was granted around them."""
    for answer in ours:
        if answer["status"] != REFUSED or answer.get("allowed") is None or "processed" in answer.get("message", ""):
            continue
        near = [other for other in ours if abs(other["time"] - answer["time"]) <= ASTRIDE]
        exhausted = any(value <= 0 and abs(time - answer["time"]) <= ASTRIDE for time, value in allowed)
        if int(answer["allowed"]) > _count(near, *GRANTED) and not exhausted:
            return [f"{answer['pod']} was refused although the budget allowed {answer['allowed']}"]
    return []


def _rises(points: series.Points, start: float, end: float) -> float:
    inside = [value for time, value in points if start <= time <= end]
    return sum(max(0.0, later - earlier) for earlier, later in pairwise(inside))


def _fell(history: History, granted: Answers, numbers: Mapping[str, series.Points]) -> list[str]:
    """Find healthy pods below the desired number after a grant; only evictions may be at fault for it."""
    if not granted or any(fault.kind not in VOLUNTARY for fault in history.faults):
        return []
    first = min(answer["time"] for answer in granted)
    wanted, healthy = series.at(numbers["desired"], first), series.at(numbers["healthy"], first - ASTRIDE)
    if wanted is None or healthy is None or healthy < wanted:
        return []
    end = history.window[1] if history.window else history.end
    for time, value in numbers["healthy"]:
        # A budget that wants more since (its workload was scaled up) was not broken by an eviction.
        if first <= time <= end and value < min(wanted, series.at(numbers["desired"], time) or wanted):
            return [f"healthy pods fell to {value:g}, the budget wants {wanted:g}"]
    return []


def _ready(history: History, granted: Answers) -> list[float]:
    """Give the ready counts of the evicted pods' Deployments from the first grant to the end of the window."""
    if not granted:
        return []
    first = min(answer["time"] for answer in granted)
    end = history.window[1] if history.window else history.end
    pods = {str(answer["pod"]) for answer in granted}

    def theirs(sample: Sample) -> bool:
        # A Deployment's pods are named after it, with the template's hash and a suffix.
        return any(pod.rsplit("-", 2)[0] == sample.series.removeprefix("ready/") for pod in pods)

    return [
        sample.value
        for sample in history.samples
        if sample.value is not None
        and first <= sample.time <= end
        and sample.series.startswith("ready/")
        and theirs(sample)
    ]


def _aimed(history: History, answer: Mapping[str, Any]) -> bool:
    """Say whether an eviction was asked of a pod that the experiment picked, not of a node's other pods."""
    return any(fault.kind == "pod_evict" and fault.victim == answer["pod"] for fault in history.faults)


def _namespace(answer: Mapping[str, Any]) -> str:
    return str(answer["pod"]).partition("/")[0]


def _count(answers: Answers, *statuses: int) -> int:
    return sum(answer["status"] in statuses for answer in answers)


def _told(answers: Answers) -> str:
    told = f"{_count(answers, *GRANTED)} granted, {_count(answers, REFUSED)} refused"
    twice = _count(answers, MISCONFIGURED)
    return f"{told}, {twice} failed" if twice else told


def _column(numbers: Mapping[str, series.Points], time: float) -> str:
    healthy, desired = (series.at(numbers[key], time) for key in ("healthy", "desired"))
    return "no data" if healthy is None or desired is None else f"{healthy:g} healthy, {desired:g} wanted"
