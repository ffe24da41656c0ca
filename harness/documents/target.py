"""Read what a fault is aimed at: a rule that picks pods, nodes or workloads and how many, or a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from harness.faults import FaultKind
from harness.model import share as shares
from harness.model import units
from harness.model.fault import Target
from harness.model.share import Share
from harness.source.closed import Section, nearest

KEYS = (
    *("namespace", "selector", "pods", "nodes", "workloads", "mode", "value", "at-once", "container", "hosting"),
    "config",
)
HOW_MANY = ("mode", "value", "at-once")
# What the rule of each kind of target may say.
TAKES: Mapping[str, tuple[str, ...]] = {
    "pod": ("namespace", "selector", "pods", *HOW_MANY, "container"),
    "node": ("selector", "nodes", *HOW_MANY, "hosting"),
    "workload": ("namespace", "selector", "workloads", *HOW_MANY, "container"),
    "config": ("namespace", "config"),
    "namespace": ("namespace",),
}
REQUIREMENT = re.compile(
    r"(!\s*)?[\w./-]+|[\w./-]+\s*(=|==|!=)\s*[\w.-]*|[\w./-]+\s*[<>]\s*\d+"
    r"|[\w./-]+\s+(in|notin)\s*\(\s*[\w.-]+(\s*,\s*[\w.-]+)*\s*\)",
    re.ASCII,
)
HOSTING = re.compile(r"([a-z0-9-]+)/(.+)")
# With a star behind it, it begins so: kustomize ends the names of what it makes with a hash.
CONFIG = re.compile(r"(ConfigMap|Secret)/[a-z0-9]([a-z0-9.-]{0,251}([a-z0-9]|\*))?")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

# What the rule of each kind of target needs, and why.
NEEDED: Mapping[str, Mapping[str, str]] = {
    "pod": {"namespace": "never ambient", "selector": "pods are picked by label"},
    "node": {},
    "workload": {"namespace": "never ambient", "selector": "a workload is found by the labels of its pods"},
    "config": {"namespace": "never ambient", "config": "it is changed by its name"},
    "namespace": {"namespace": "never ambient"},
}


def read(section: Section, kind: FaultKind) -> Target:
    """Read the target of a fault; problems are noted, not raised."""
    problems, counted, needed = section.problems, f"{kind.target}s", NEEDED[kind.target]
    for other in (f"{one}s" for one in NEEDED if one != kind.target):
        if other in section:
            problems.add(section.at(other), f"{kind.name} is aimed at {counted}, not {other}")
    taken = _amount(section, kind.target) if counted in TAKES[kind.target] else 0
    count, share = (0, taken) if isinstance(taken, Share) else (taken, None)
    target = Target(
        namespace=section.get("namespace", namespace, "", required=needed.get("namespace", "")),
        selector=section.get("selector", selector, "", required=needed.get("selector", "")),
        at_once=section.get("at-once", shares.at_once, 1),
        container=section.get("container", units.text, ""),
        hosting=section.get("hosting", _hosting, ""),
        share=share,
        pods=count if counted == "pods" else 0,
        nodes=count if counted == "nodes" else 0,
        workloads=count if counted == "workloads" else 0,
        config=section.get("config", _config, "", required=needed.get("config", "")),
        of="" if counted in TAKES[kind.target] else kind.target,
    )
    if 0 < count < target.at_once < shares.EVERYBODY:
        problems.add(
            section.at("at-once"), f"at-once {target.at_once} is more than the {count} {counted} of the target"
        )
    RULES.get(kind.target, partial(_only, kind.target))(section)
    if "container" in section and not kind.container:
        problems.add(section.at("container"), f"{kind.name} acts on whole {counted}", hint="container_kill takes one")
    return target


def _pods(section: Section) -> None:
    if "hosting" in section:
        section.problems.add(section.at("hosting"), "'hosting' picks nodes, not pods")


def _nodes(section: Section) -> None:
    problems, hint = section.problems, "hosting: namespace/app=label"
    if "namespace" in section:
        problems.add(section.at("namespace"), "nodes have no namespace", hint=hint)
    if section.data and "selector" not in section and "hosting" not in section:
        problems.add(section.place, "a node target needs 'selector' or 'hosting'", hint=hint)


def _only(kind: str, section: Section) -> None:
    """Refuse what says nothing of this kind of target; of counts of other kinds it was said already."""
    for key in section.data:
        if key in KEYS and key not in TAKES[kind] and key not in {f"{one}s" for one in NEEDED}:
            section.problems.add(
                section.at(key), f"'{key}' says nothing of a {kind}", hint=f"known here: {', '.join(TAKES[kind])}"
            )


RULES: Mapping[str, Callable[[Section], None]] = {"pod": _pods, "node": _nodes}


def require_readable(target: Target) -> None:
    """Hold a translated target to what ours may say; raises ValueError."""
    if target.namespace:
        namespace(target.namespace)
    if target.selector:
        selector(target.selector)
    if target.hosting:
        _hosting(target.hosting)


def _amount(section: Section, of: str) -> int | Share:
    """Read how many a target takes, by count or share, or by mode and value; 0 where that could not be read."""
    problems, counted = section.problems, f"{of}s"
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


def _config(value: Any) -> str:
    name = units.text(value)
    if not CONFIG.fullmatch(name):
        raise ValueError(
            f"{units.shown(value)} is not ConfigMap/name or Secret/name, or one that begins so with a * behind"
        )
    return name


def _hosting(value: Any) -> str:
    match = HOSTING.fullmatch(units.text(value))
    if not match:
        raise ValueError(f"{units.shown(value)} is not namespace/selector, like claude-ecosystem-prod/app=redis")
    namespace(match[1])
    selector(match[2])
    return f"{match[1]}/{match[2]}"
