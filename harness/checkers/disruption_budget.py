"""Judge whether evictions stopped where the disruption budget says, with the eviction API's answers as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from harness.checkers import series
from harness.checkers.kind import Missed, ObjectiveKind
from harness.model.disturbance import Disturbance
from harness.model.fault import FaultSpec
from harness.model.history import FaultRecord, History
from harness.model.parameter import Parameter, Type
from harness.model.verdict import Finding, State

GRANTED, REFUSED, MISCONFIGURED = (200, 201), 429, 500
# Why a budget refuses, as the API server says, and why nothing is decided, as the fault tells it apart.
CAUSE, SEVERAL = "DisruptionBudget", "SeveralBudgets"
# Reading a budget and asking for the eviction are two requests; others may be answered in between.
ASTRIDE = 1.0
# How the API server refuses as long as a budget's numbers are not worked out; where nobody can, that stays.
UNDECIDED = "still being processed"
# Of these phases the API server asks no budget (pkg/registry/core/pod/storage/eviction.go of Kubernetes 1.34).
UNGUARDED = frozenset({"Pending", "Succeeded", "Failed"})
# Whose pods these ways take is known: those that are evicted, or those of a fault that interrupts who serves.
ORDERLY = frozenset({Disturbance.SERVING, Disturbance.EVICTION, Disturbance.CAPACITY})
ORDER = (State.BROKEN, State.UNKNOWN, State.HELD)
Answers = Sequence[Mapping[str, Any]]


def check(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Compare every answer with the arithmetic: granted while `allowed` lasts, refused (429) after.

    Pods that the API server lets go by its own rules cost the budget nothing, whatever it allows. Budgets of one name
    in several namespaces are judged each by itself: the worst counts.
    """
    if len(inside := _asked_in(history, parameters)) > 1:
        found = [check(history, {**parameters, "namespace": one}) for one in inside]
        return min(found, key=lambda one: ORDER.index(one.state))
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
    charged = [answer for answer in granted if not unguarded(answer)]
    ready = _ready(history, charged)
    lowest = min(ready, default=None)
    columns: dict[str, Any] = {
        "baseline": _column(numbers, min(answer["time"] for answer in asked) - ASTRIDE),
        "in_fault": _told(ours + others) + (f", least ready {lowest:g}" if lowest is not None else ""),
        "recovery": _column(numbers, history.end),
    }
    detail = {
        "granted": len(granted),
        "free": len(granted) - len(charged),
        "refused": _count(ours, REFUSED),
        "least_ready": lowest,
        "namespace": namespace,
    }
    broken = [*_over(ours, numbers["allowed"]), *_under(ours, numbers["allowed"])]
    broken += _fell(history, charged, numbers)
    if least is not None and lowest is not None and lowest < least:
        broken.append(f"ready pods fell to {lowest:g}, the promise is {least}")
    watched = any(sample.series.startswith(("ready/", "pdb/")) for sample in history.samples)
    if not ours and not numbers["desired"] and watched and granted:
        broken.append(f"there is no budget {name} in {namespace}: {len(granted)} evictions were granted without it")
    elif others and granted and not ours:
        broken.append(f"{name} does not cover the evicted pods: {len(granted)} evictions were granted without it")
    if bare := _uncovered(asked, name):
        pods = ", ".join(dict.fromkeys(str(answer["pod"]) for answer in bare))
        broken.append(f"{name} did not cover {pods} any more: {len(bare)} evictions were granted without it")
    why = _doubt(history, name, ours, others)
    if not why and least is not None and charged and lowest is None:
        why = "ready pods were not seen"
    if broken:
        state, summary = State.BROKEN, "; ".join(broken)
    elif why:
        state, summary = State.UNKNOWN, why
    else:
        state, summary = State.HELD, _told(ours) + _by_rule(ours)
    return Finding("disruption-budget", state, summary, target, **columns, detail=detail)


def _asked_in(history: History, parameters: Mapping[str, Any]) -> list[str]:
    """Name the namespaces in which a budget of this name was asked; the one that is meant, where that is said."""
    ours = (one for one in history.evictions if _answered(one) and one.get("budget") == parameters["name"])
    return [parameters["namespace"]] if "namespace" in parameters else sorted(set(map(_namespace, ours)))


def _answered(answer: Mapping[str, Any]) -> bool:
    """Say whether a budget could have had a part in the answer; a server in trouble says 429 or 500, too."""
    if answer["status"] == REFUSED:
        return bool(answer.get("cause", CAUSE) == CAUSE)
    if answer["status"] == MISCONFIGURED:
        return bool(answer.get("cause", SEVERAL) == SEVERAL)
    return answer["status"] in GRANTED


def unguarded(answer: Mapping[str, Any]) -> bool:
    """Say whether the API server grants this eviction whatever the budget allows.

    It asks no budget for a pod that is going, done or Pending. One that is not ready counts for no budget: it may go
    where the policy is AlwaysAllow, and by default while the budget has the healthy pods that it wants.
    """
    if answer.get("phase") in UNGUARDED or answer.get("terminating"):
        return True
    if answer.get("ready") is not False:
        return False
    healthy, desired = answer.get("healthy"), answer.get("desired")
    met = healthy is not None and desired is not None and healthy >= desired > 0
    return answer.get("policy") == "AlwaysAllow" or met


def _by_rule(answers: Answers) -> str:
    free = sum(unguarded(answer) for answer in answers if answer["status"] in GRANTED)
    return f"; {free} of them not guarded by it: not ready, or on the way out" if free else ""


def _undecided(answer: Mapping[str, Any]) -> bool:
    """Say whether an eviction was refused for want of the budget's numbers, and not by them."""
    return answer["status"] == REFUSED and UNDECIDED in answer.get("message", "")


def _allowed(answer: Mapping[str, Any]) -> int | None:
    """Return what the budget allowed when it was read; None where it was not read, or had not been worked out anew."""
    observed, generation = answer.get("observed"), answer.get("generation")
    if observed is not None and generation is not None and observed < generation:
        return None
    allowed = answer.get("allowed")
    return None if allowed is None else int(allowed)


def _doubt(history: History, name: str, ours: Answers, others: Answers) -> str:
    """Say why the answers prove nothing; empty when they do."""
    if twice := _count([*ours, *others], MISCONFIGURED):
        return f"{twice} evictions failed with 500: more than one budget covers the pod"
    if not ours:
        return f"no eviction asked {name}"
    if all(_undecided(answer) for answer in ours):
        return f"the numbers of {name} were never worked out: {ours[0]['message']}"
    granted = [answer for answer in ours if answer["status"] in GRANTED and not unguarded(answer)]
    unread = sum(_allowed(answer) is None for answer in granted)
    if unread:
        return f"{unread} evictions were granted while {name} could not be read"
    if not granted:
        return ""
    first = min(answer["time"] for answer in granted)
    end = history.window[1] if history.window else history.end
    series = f"pdb/{_namespace(granted[0])}/{name}/healthy"
    told = [(item.time, item.value is not None) for item in history.samples if item.series == series]
    back = [time for time, seen in told if seen]
    # Between a change of a budget and its numbers lie milliseconds.
    unseen = any(
        not seen and first <= time <= end and not any(time <= other <= time + ASTRIDE for other in back)
        for time, seen in told
    )
    return f"{name} was out of sight after an eviction" if unseen else ""


def _over(ours: Answers, allowed: series.Points) -> list[str]:
    """Find grants beyond what the budget allowed when it was read, or has come to allow since."""
    for answer in ours:
        if answer["status"] not in GRANTED or unguarded(answer) or _allowed(answer) is None:
            continue
        near = [other for other in ours if answer["time"] - ASTRIDE <= other["time"] <= answer["time"]]
        grants = _charged(near)
        read = max(number for other in near if (number := _allowed(other)) is not None)
        since = near[0]["time"] - ASTRIDE
        may = max([read, *(value for time, value in allowed if since <= time <= answer["time"])])
        if grants > may + _rises(allowed, since, answer["time"] + ASTRIDE):
            return [f"{grants} evictions were granted where the budget allowed {may:g}"]
    return []


def _under(ours: Answers, allowed: series.Points) -> list[str]:
    """Find refusals although the budget allowed more than was granted around them."""
    for answer in ours:
        allows = _allowed(answer)
        if answer["status"] != REFUSED or allows is None or _undecided(answer):
            continue
        near = [other for other in ours if abs(other["time"] - answer["time"]) <= ASTRIDE]
        exhausted = any(value <= 0 and abs(time - answer["time"]) <= ASTRIDE for time, value in allowed)
        if allows > _charged(near) and not exhausted:
            return [f"{answer['pod']} was refused although the budget allowed {allows}"]
    return []


def _uncovered(asked: Answers, name: str) -> Answers:
    """Find grants without the budget to pods of a workload that it covered before: it was deleted, or narrowed."""
    covered, found = set[str](), []
    for answer in sorted(asked, key=lambda answer: float(answer["time"])):
        owner = str(answer.get("owner") or "")
        if answer.get("budget") == name:
            covered |= {owner} - {""}
        elif answer["status"] in GRANTED and not unguarded(answer) and owner in covered:
            found.append(answer)
    return found


def _rises(points: series.Points, start: float, end: float) -> float:
    inside = [value for time, value in points if start <= time <= end]
    return sum(max(0.0, later - earlier) for earlier, later in pairwise(inside))


def _fell(history: History, granted: Answers, numbers: Mapping[str, series.Points]) -> list[str]:
    """Find healthy pods below the desired number after a grant; only evictions may be at fault for it."""
    if not granted or not all(map(_evicts_at_most, history.faults)):
        return []
    first = min(answer["time"] for answer in granted)
    wanted, healthy = series.at(numbers["desired"], first), series.at(numbers["healthy"], first - ASTRIDE)
    if wanted is None or healthy is None or healthy < wanted:
        return []
    end = history.window[1] if history.window else history.end
    for time, value in numbers["healthy"]:
        # A budget that wants more since (its workload was scaled up) was not broken by an eviction, and neither was one
        # whose workload wants fewer pods by now.
        asked = min(series.at(numbers["desired"], time) or wanted, wanted - _let_go(history, granted, first, time))
        if first <= time <= end and value < min(wanted, asked):
            return [f"healthy pods fell to {value:g}, the budget wants {wanted:g}"]
    return []


def _let_go(history: History, granted: Answers, first: float, time: float) -> float:
    """Count the pods that the evicted pods' workloads want no more since the first eviction; no budget guards these."""
    fewer = 0.0
    for owner in {str(answer["owner"]) for answer in granted if answer.get("owner")}:
        told = [
            (one.time, float(one.labels["desired"]))
            for one in history.samples
            if one.series == f"ready/{owner}" and "desired" in one.labels
        ]
        before, now = series.at(sorted(told), first), series.at(sorted(told), time)
        fewer += max(0.0, before - now) if before is not None and now is not None else 0.0
    return fewer


def _evicts_at_most(fault: FaultRecord) -> bool:
    """Say whether a fault takes no pod but by evicting it."""
    ways = fault.disturbs
    return ways <= ORDERLY and (Disturbance.EVICTION in ways or Disturbance.SERVING not in ways)


def _ready(history: History, granted: Answers) -> list[float]:
    """Return the ready pods of the evicted pods' workloads, added up, from the first grant to the end of the window."""
    owners = sorted({str(answer["owner"]) for answer in granted if answer.get("owner")})
    if not owners:
        return []
    first = min(answer["time"] for answer in granted)
    end = history.window[1] if history.window else history.end
    seen: dict[str, list[tuple[float, float]]] = {f"ready/{owner}": [] for owner in owners}
    for sample in history.samples:
        if sample.series in seen and sample.value is not None:
            seen[sample.series].append((sample.time, sample.value))
    points = [sorted(found) for found in seen.values()]
    times = sorted({time for found in points for time, _ in found if first <= time <= end})
    every = [[series.at(found, time) for found in points] for time in times]
    return [sum(values) for row in every if len(values := [one for one in row if one is not None]) == len(points)]


def _aimed(history: History, answer: Mapping[str, Any]) -> bool:
    """Say whether an eviction was asked of a pod that the experiment picked, not of a node's other pods."""
    return any(Disturbance.EVICTION in fault.disturbs and fault.victim == answer["pod"] for fault in history.faults)


def _namespace(answer: Mapping[str, Any]) -> str:
    return str(answer["pod"]).partition("/")[0]


def _count(answers: Answers, *statuses: int) -> int:
    return sum(answer["status"] in statuses for answer in answers)


def _charged(answers: Answers) -> int:
    return sum(answer["status"] in GRANTED and not unguarded(answer) for answer in answers)


def _told(answers: Answers) -> str:
    told = f"{_count(answers, *GRANTED)} granted, {_count(answers, REFUSED)} refused"
    twice = _count(answers, MISCONFIGURED)
    return f"{told}, {twice} failed" if twice else told


def _column(numbers: Mapping[str, series.Points], time: float) -> str:
    healthy, desired = (series.at(numbers[key], time) for key in ("healthy", "desired"))
    return "no data" if healthy is None or desired is None else f"{healthy:g} healthy, {desired:g} wanted"


def missed(parameters: Mapping[str, Any], faults: Sequence[tuple[FaultSpec, bool]]) -> Missed | None:
    """Say that no fault stays in the budget's namespace; a node target may reach any."""
    wanted, stated = parameters.get("namespace"), [fault.target.stated for fault, _ in faults]
    if not wanted or any(not names or wanted in names for names in stated):
        return None
    return Missed("namespace", "no fault evicts pods of this namespace")


OBJECTIVE = ObjectiveKind(
    name="disruption-budget",
    place=40,
    summary="Each eviction's answer agrees with the budget: granted while healthy pods exceed the desired number,"
    " refused with 429 otherwise; evictions never take healthy pods below it.",
    broken="an eviction was granted that neither the budget nor the API's own rules allow, refused that it allows,"
    " or evictions took healthy pods below the minimum",
    unknown="no eviction was answered by a budget, the budget or the promised ready pods could not be read, or two"
    " budgets claim one pod (500)",
    parameters=(
        Parameter("name", Type.TEXT, "The PodDisruptionBudget.", required=True),
        Parameter("namespace", Type.TEXT, "Its namespace; left out it is the faults' own."),
        Parameter(
            "min-available", Type.INTEGER, "The promised least count of healthy pods, budget or none.", minimum=0
        ),
    ),
    needs_load=False,
    exercised_by=frozenset({Disturbance.EVICTION}),
    check=check,
    missed=missed,
)
