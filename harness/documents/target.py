"""Read what a fault is aimed at: a rule that picks pods, nodes, zones or workloads and how many, or a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from harness.faults import FaultKind
from harness.model import selector as selectors
from harness.model import share as shares
from harness.model import units
from harness.model.fault import Filter, Target
from harness.model.share import Share
from harness.source.closed import Section, nearest

FILTERS = ("annotations", "kinds", "included-pod-names", "excluded-pod-names", "minimum-age")
KEYS = (
    "namespace", "namespaces", "selector", *FILTERS,
    "pods", "nodes", "zones", "workloads", "mode", "value", "at-once", "container",
    "hosting", "config", "route", "component",
)  # fmt: skip
# What picks pods; a rule that has none of these would pick any.
PICKING = ("selector", "annotations", "included-pod-names")
KIND = re.compile(r"!?[A-Z][A-Za-z]*")
OLDEST_SECONDS = 366 * 86400.0
HOW_MANY = ("mode", "value", "at-once")
# What the rule of each kind of target may say.
TAKES: Mapping[str, tuple[str, ...]] = {
    "pod": ("namespace", "namespaces", "selector", *FILTERS, "pods", *HOW_MANY, "container"),
    "node": ("selector", "nodes", *HOW_MANY, "hosting"),
    "zone": ("selector", "zones", *HOW_MANY, "hosting"),
    "workload": ("namespace", "selector", "workloads", *HOW_MANY, "container"),
    "config": ("namespace", "config"),
    "route": ("namespace", "route"),
    "component": ("component",),
    "namespace": ("namespace",),
}
COUNTED = tuple(f"{kind}s" for kind, taken in TAKES.items() if f"{kind}s" in taken)
REQUIREMENT = re.compile(
    r"(!\s*)?[\w./-]+|[\w./-]+\s*(=|==|!=)\s*[\w.-]*|[\w./-]+\s*[<>]\s*\d+"
    r"|[\w./-]+\s+(in|notin)\s*\(\s*[\w.-]+(\s*,\s*[\w.-]+)*\s*\)",
    re.ASCII,
)
HOSTING = re.compile(r"([a-z0-9-]+)/(.+)")
COMPONENTS = ("kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager")
ROUTE = re.compile(r"(VirtualService|Service)/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
# With a star behind it, it begins so: kustomize ends the names of what it makes with a hash.
CONFIG = re.compile(r"(ConfigMap|Secret)/[a-z0-9]([a-z0-9.-]{0,251}([a-z0-9]|\*))?")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

# What the rule of each kind of target needs, and why.
NEEDED: Mapping[str, Mapping[str, str]] = {
    # Of a pod several ways say where and which: see _pods.
    "pod": {},
    "node": {},
    "zone": {},
    "workload": {"namespace": "never ambient", "selector": "a workload is found by the labels of its pods"},
    "config": {"namespace": "never ambient", "config": "it is changed by its name"},
    "route": {"namespace": "never ambient", "route": "it is found by a name"},
    "component": {"component": "what keeps the cluster is meant by its name"},
    "namespace": {"namespace": "never ambient"},
}


def read(section: Section, kind: FaultKind) -> Target:
    """Read the target of a fault; problems are noted, not raised."""
    problems, counted, needed = section.problems, f"{kind.target}s", NEEDED[kind.target]
    for other in COUNTED:
        if other != counted and other in section:
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
        namespaces=tuple(dict.fromkeys(section.each("namespaces", namespace))),
        filter=_filter(section),
        workloads=count if counted == "workloads" else 0,
        zones=count if counted == "zones" else 0,
        config=section.get("config", _config, "", required=needed.get("config", "")),
        route=section.get("route", _route, "", required=needed.get("route", "")),
        component=section.get("component", _component, "", required=needed.get("component", "")),
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


def _filter(section: Section) -> Filter | None:
    if not any(key in section for key in FILTERS):
        return None
    return Filter(
        annotations=section.get("annotations", _annotations, ""),
        kinds=section.each("kinds", kind),
        included=section.get("included-pod-names", pattern, ""),
        excluded=section.get("excluded-pod-names", pattern, ""),
        minimum_age=section.get("minimum-age", units.bounded(units.duration, OLDEST_SECONDS), 0.0),
    )


def _pods(section: Section) -> None:
    problems = section.problems
    if "hosting" in section:
        problems.add(section.at("hosting"), "'hosting' picks nodes, not pods")
    if "namespace" in section and "namespaces" in section:
        problems.add(section.at("namespaces"), "'namespace' and 'namespaces' say the same twice")
    if not section.data:
        return
    if not section.data.get("namespaces") and "namespace" not in section and not section.meant & {"namespace"}:
        problems.add(section.place, "a target needs 'namespace'", why="never ambient", hint="or several: namespaces")
    if not any(key in section for key in PICKING) and not section.meant & {*PICKING}:
        problems.add(section.place, "a target needs 'selector'", why="pods are picked by label", hint="or annotations")
    _only("pod", section, told=("hosting",))


def _nodes(kind: str, section: Section) -> None:
    """Note what does not find nodes; a zone is found by those that it has."""
    problems, hint = section.problems, "hosting: namespace/app=label"
    for key in ("namespace", "namespaces"):
        if key in section:
            problems.add(section.at(key), "nodes have no namespace", hint=hint)
    for key in FILTERS:
        if key in section:
            problems.add(section.at(key), f"'{key}' picks pods, not {kind}s")
    if section.data and "selector" not in section and "hosting" not in section:
        problems.add(section.place, f"a {kind} target needs 'selector' or 'hosting'", hint=hint)
    _only(kind, section, told=("namespace", "namespaces", *FILTERS, "container"))


def _only(kind: str, section: Section, told: Sequence[str] = ()) -> None:
    """Refuse what says nothing of this kind of target; of counts of other kinds, and of what is `told`, it was said."""
    for key in section.data:
        if key in KEYS and key not in (*TAKES[kind], *COUNTED, *told):
            section.problems.add(
                section.at(key), f"'{key}' says nothing of a {kind}", hint=f"known here: {', '.join(TAKES[kind])}"
            )


RULES: Mapping[str, Callable[[Section], None]] = {
    "pod": _pods,
    **{kind: partial(_nodes, kind) for kind in ("node", "zone")},
}


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


def kind(value: Any) -> str:
    """Read the kind of a controller, with ! before it that of any other."""
    if not isinstance(value, str) or not KIND.fullmatch(value):
        raise ValueError(f"{units.shown(value)} is not the kind of a controller, like ReplicaSet")
    return value


def selector(value: Any) -> str:
    """Read a label selector; one that would match everything is refused."""
    found = units.text(value)
    for part in selectors.COMMA.split(found):
        if not REQUIREMENT.fullmatch(part.strip()):
            raise ValueError(f"{units.shown(value)} is not a label selector, like app=claude-orchestrator")
    return found


def _annotations(value: Any) -> str:
    """Read a selector of annotations, which is compared here and not by the API server."""
    found = units.text(value)
    selectors.parse(found)
    return found


def pattern(value: Any) -> str:
    """Read a regular expression."""
    found = units.text(value)
    try:
        re.compile(found)
    except re.error as error:
        raise ValueError(f"{units.shown(value)} is no regular expression: {error}") from error
    return found


def _config(value: Any) -> str:
    name = units.text(value)
    if not CONFIG.fullmatch(name):
        raise ValueError(
            f"{units.shown(value)} is not ConfigMap/name or Secret/name, or one that begins so with a * behind"
        )
    return name


def _route(value: Any) -> str:
    name = units.text(value)
    if not ROUTE.fullmatch(name):
        raise ValueError(f"{units.shown(value)} is not VirtualService/name or Service/name")
    return name


def _component(value: Any) -> str:
    name = units.text(value)
    if name not in COMPONENTS:
        raise ValueError(f"{units.shown(value)} is none of {', '.join(COMPONENTS)}")
    return name


def _hosting(value: Any) -> str:
    match = HOSTING.fullmatch(units.text(value))
    if not match:
        raise ValueError(f"{units.shown(value)} is not namespace/selector, like claude-ecosystem-prod/app=redis")
    namespace(match[1])
    selector(match[2])
    return f"{match[1]}/{match[2]}"
