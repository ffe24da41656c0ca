"""Read the activities of a Chaos Toolkit document: foreign ones as they stand, ours as faults with a target."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.model import share as shares
from harness.model import units
from harness.model.catalogue import ACTIONS, FAULTS, FaultKind
from harness.model.closed import Problems, Section, nearest
from harness.model.experiment import Activity
from harness.model.fault import FaultSpec, Target
from harness.model.share import Share
from harness.model.source import Place

KEYS = ("type", "name", "provider", "tolerance", "pauses", "timeout", "controls", "background")
PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "python": ("type", "module", "func", "arguments"),
    "process": ("type", "path", "arguments", "timeout"),
    "http": (
        "type",
        "url",
        "method",
        "headers",
        "arguments",
        "timeout",
        "expected_status",
        "verify_tls",
        "max_retries",
    ),
}
NEEDED = {"python": ("module", "func"), "process": ("path",), "http": ("url",)}
TOLERANCES: Mapping[str, tuple[str, ...]] = {
    "range": ("type", "range", "target"),
    "regex": ("type", "pattern", "target"),
    "jsonpath": ("type", "path", "expect", "count", "target"),
    "probe": KEYS,
}
# Of each kind of tolerance, what it compares with.
COMPARED = {"range": "range", "regex": "pattern", "jsonpath": "path", "probe": "provider"}
TARGET_KEYS = ("namespace", "selector", "pods", "nodes", "mode", "value", "at-once", "container", "hosting")
REQUIREMENT = re.compile(
    r"!?[\w./-]+|[\w./-]+\s*(=|==|!=)\s*[\w.-]*|[\w./-]+\s+(in|notin)\s+\(\s*[\w.-]+(\s*,\s*[\w.-]+)*\s*\)"
)
HOSTING = re.compile(r"([a-z0-9-]+)/(.+)")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def activities(problems: Problems, listed: list[tuple[Place, Any]], role: str) -> tuple[Activity, ...]:
    """Read a list of activities in the role of `hypothesis`, `method` or `rollbacks`."""
    found: list[Activity] = []
    for place, value in listed:
        activity = _activity(problems, value, place, role)
        if activity.name and activity.name in {other.name for other in found}:
            problems.add((*place, "name"), f"two activities are named '{activity.name}'", hint="give each its own name")
        found.append(activity)
    return tuple(found)


def _activity(problems: Problems, value: Any, place: Place, role: str) -> Activity:
    if isinstance(value, dict) and "ref" in value:
        problems.add((*place, "ref"), "references to other activities are not read", hint="write the activity out")
        return Activity("probe", "", {})
    section = Section(problems, value, place, "an activity", KEYS)
    kind = section.get("type", units.text, "", required="it is a probe or an action")
    name = section.get("name", units.text, "", required="the journal tells activities apart by name")
    if kind and kind not in ("probe", "action"):
        problems.add(
            section.at("type"), f"'{kind}' is neither probe nor action", hint=nearest(kind, ("probe", "action"))
        )
    if role == "hypothesis" and kind == "action":
        problems.add(
            section.at("type"), "a hypothesis only looks: this must be a probe", hint="actions belong to the method"
        )
    if section.data.get("background"):
        problems.add(
            section.at("background"),
            "activities do not run in the background here",
            why="every step has a deadline and is cut by an abort",
            hint="probes and load already run through the whole experiment",
        )
    if "tolerance" in section:
        _tolerance(problems, section.data["tolerance"], section.at("tolerance"))
    elif role == "hypothesis":
        problems.add(place, f"the probe '{name}' needs a 'tolerance'", why="a hypothesis must be able to fail")
    provider = _provider(problems, section)
    fault = None
    if provider.get("module") == ACTIONS:
        fault = _fault(problems, provider, section, name)
        if role != "method":
            problems.add(
                section.at("provider"), f"a fault does not belong to the {role}", hint="faults stand in the method"
            )
    before, after = _pauses(problems, section)
    return Activity(kind, name, provider, section.data.get("tolerance"), before, after, fault)


def _pauses(problems: Problems, section: Section) -> tuple[float, float]:
    if "pauses" not in section:
        return 0.0, 0.0
    pauses = Section(problems, section.data["pauses"], section.at("pauses"), "pauses", ("before", "after"))
    return pauses.get("before", _pause, 0.0), pauses.get("after", _pause, 0.0)


def _pause(value: Any) -> float:
    # Chaos Toolkit writes pauses as bare seconds.
    seconds = units.number(value)
    if not 0 <= seconds <= 3600:
        raise ValueError(f"{units.shown(value)} is not between 0 and 3600 seconds")
    return seconds


def _tolerance(problems: Problems, value: Any, place: Place) -> None:
    if isinstance(value, bool | int | float | str):
        return
    if isinstance(value, list) and value:
        return
    kind = str(value.get("type") or "") if isinstance(value, dict) else ""
    if kind not in TOLERANCES:
        hint = nearest(kind, TOLERANCES) if kind else "write a value, a list, or {type: range, range: [3, 20]}"
        problems.add(place, f"{units.shown(value)} is not a tolerance", hint=hint)
        return
    section = Section(problems, value, place, f"a {kind} tolerance", TOLERANCES[kind])
    key = COMPARED[kind]
    if key not in section:
        section.get(key, units.text, "", required="it says what is tolerated")
    elif kind == "probe" and _provider(problems, section).get("module") == ACTIONS:
        problems.add(section.at("provider"), "a fault is no tolerance", hint="faults stand in the method")
    elif kind == "range":
        span = value["range"]
        numbers = isinstance(span, list) and len(span) == 2 and all(isinstance(end, int | float) for end in span)
        if not numbers or span[0] > span[1]:
            problems.add(place, "a range tolerance needs 'range' with its lower and upper end", hint="range: [3, 20]")


def _provider(problems: Problems, activity: Section) -> dict[str, Any]:
    value = activity.data.get("provider")
    place = activity.at("provider")
    if value is None:
        if activity.data:
            problems.add(activity.place, "an activity needs 'provider'", why="it says what to call")
        return {}
    kind = str(value.get("type")) if isinstance(value, dict) else "nothing"
    if kind not in PROVIDERS:
        hint = nearest(kind, PROVIDERS)
        problems.add(place, f"the provider's type is {kind}, not python, process or http", hint=hint)
        return {}
    section = Section(problems, value, place, f"a {kind} provider", PROVIDERS[kind])
    for key in NEEDED[kind]:
        section.get(key, units.text, "", required="it says what to call")
    provider = dict(section.data)
    if "timeout" in activity:
        provider["timeout"] = activity.get("timeout", units.number, 0.0)
    return provider


def _fault(problems: Problems, provider: dict[str, Any], activity: Section, name: str) -> FaultSpec | None:
    place = (*activity.at("provider"), "arguments")
    func = str(provider.get("func", ""))
    kind = FAULTS.get(func)
    if activity.data.get("type") == "probe":
        problems.add(activity.at("type"), f"the fault '{func}' is an action, not a probe")
    if kind is None:
        problems.add((*activity.at("provider"), "func"), f"there is no fault '{func}'", hint=nearest(func, FAULTS))
        return None
    keys = ("target", *(parameter.name for parameter in kind.parameters))
    arguments = Section(problems, provider.get("arguments", {}), place, f"the arguments of {func}", keys)
    parameters = {each.name: arguments.get(each.name, each.read, each.default) for each in kind.parameters}
    if "target" not in arguments:
        problems.add(place, f"{func} needs 'target'", why="every fault names what it may touch")
        return None
    section = Section(problems, arguments.data["target"], arguments.at("target"), "a target", TARGET_KEYS)
    return FaultSpec(func, name, _target(problems, section, kind), parameters)


def _target(problems: Problems, section: Section, kind: FaultKind) -> Target:
    counted = "nodes" if kind.target == "node" else "pods"
    other = "pods" if counted == "nodes" else "nodes"
    if other in section:
        problems.add(section.at(other), f"{kind.name} is aimed at {counted}, not {other}")
    taken = _amount(problems, section, kind.target)
    count, share = (0, taken) if isinstance(taken, Share) else (taken, None)
    target = Target(
        namespace=section.get("namespace", namespace, "", required="" if kind.target == "node" else "never ambient"),
        selector=section.get(
            "selector", selector, "", required="" if kind.target == "node" else "pods are picked by label"
        ),
        pods=count if counted == "pods" else 0,
        nodes=count if counted == "nodes" else 0,
        at_once=section.get("at-once", shares.at_once, 1),
        container=section.get("container", units.text, ""),
        hosting=section.get("hosting", _hosting, ""),
        share=share,
    )
    if 0 < count < target.at_once < shares.EVERYBODY:
        problems.add(
            section.at("at-once"), f"at-once {target.at_once} is more than the {count} {counted} of the target"
        )
    if kind.target == "node":
        if "namespace" in section:
            problems.add(section.at("namespace"), "nodes have no namespace", hint="hosting: namespace/app=label")
        if section.data and "selector" not in section and "hosting" not in section:
            problems.add(
                section.place, "a node target needs 'selector' or 'hosting'", hint="hosting: namespace/app=label"
            )
    elif "hosting" in section:
        problems.add(section.at("hosting"), "'hosting' picks nodes, not pods")
    if "container" in section and not kind.container:
        problems.add(section.at("container"), f"{kind.name} acts on whole {counted}", hint="container_kill takes one")
    return target


def _amount(problems: Problems, section: Section, of: str) -> int | Share:
    """Read how many a target takes, by count or share, or by mode and value; 0 where that could not be read."""
    counted = f"{of}s"
    if "mode" not in section:
        if "value" in section:
            problems.add(section.at("value"), "'value' belongs to 'mode'", hint=f"{counted}: 3, or mode: fixed")
        nothing: int | Share = 0
        return section.get(counted, shares.amount(of), nothing, required=f"say how many {counted}")
    if counted in section:
        problems.add(
            section.at("mode"), f"'mode' and '{counted}' say the same twice", hint=f"leave one out: {counted}: 30%"
        )
        return 0
    mode = section.data["mode"]
    if mode not in shares.MODES:
        problems.add(section.at("mode"), f"there is no mode {units.shown(mode)}", hint=nearest(str(mode), shares.MODES))
        return 0
    try:
        return shares.by_mode(of, mode, section.data.get("value"))
    except ValueError as error:
        problems.add(section.at("value" if "value" in section else "mode"), str(error))
        return 0


def namespace(value: Any) -> str:
    """Read the name of a namespace."""
    name = units.text(value)
    if not NAME.fullmatch(name):
        raise ValueError(f"{units.shown(value)} is not the name of a namespace (small letters, digits, hyphens)")
    return name


def selector(value: Any) -> str:
    """Read a label selector; one that would match everything is refused."""
    found = units.text(value)
    for part in re.split(r",(?![^(]*\))", found):
        if not REQUIREMENT.fullmatch(part.strip()):
            raise ValueError(f"{units.shown(value)} is not a label selector, like app=claude-orchestrator")
    return found


def _hosting(value: Any) -> str:
    match = HOSTING.fullmatch(units.text(value))
    if not match:
        raise ValueError(f"{units.shown(value)} is not namespace/selector, like claude-ecosystem-prod/app=redis")
    namespace(match[1])
    selector(match[2])
    return f"{match[1]}/{match[2]}"
