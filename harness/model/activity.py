"""Read the activities of a Chaos Toolkit document: foreign ones as they stand, ours as faults with a target."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.model import control, foreign, stated, tolerance, units
from harness.model import share as shares
from harness.model.catalogue import ACTIONS, FAULTS, FaultKind
from harness.model.closed import Problems, Section, nearest
from harness.model.experiment import Activity
from harness.model.fault import FaultSpec, Target
from harness.model.provider import pauses, read_provider
from harness.model.reading import Reading
from harness.model.share import Share
from harness.model.source import Place
from harness.model.tolerance import Asked
from harness.model.translate import NodeChoice

KEYS = ("type", "name", "provider", "tolerance", "pauses", "timeout", "controls", "background", "ref")
# A reference takes everything else from what it refers to.
REFERENCE = ("ref", "background", "tolerance")
TARGET_KEYS = ("namespace", "selector", "pods", "nodes", "mode", "value", "at-once", "container", "hosting")
REQUIREMENT = re.compile(
    r"(!\s*)?[\w./-]+|[\w./-]+\s*(=|==|!=)\s*[\w.-]*|[\w./-]+\s*[<>]\s*\d+"
    r"|[\w./-]+\s+(in|notin)\s*\(\s*[\w.-]+(\s*,\s*[\w.-]+)*\s*\)",
    re.ASCII,
)
HOSTING = re.compile(r"([a-z0-9-]+)/(.+)")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def activities(reading: Reading, listed: list[tuple[Place, Any]], role: str) -> tuple[Activity, ...]:
    """Read a list of activities in the role of `hypothesis`, `method` or `rollbacks`."""
    problems, found = reading.problems, list[Activity]()
    for place, value in listed:
        activity = _activity(reading, value, place, role)
        twice = activity.name and activity.name in {other.name for other in found}
        # Ours are told apart by name; elsewhere it is Chaos Toolkit's custom to repeat one.
        if twice and not problems.lenient and not (isinstance(value, dict) and "ref" in value and not activity.fault):
            problems.add((*place, "name"), f"two activities are named '{activity.name}'", hint="give each its own name")
        found.append(activity)
    return tuple(found)


def _activity(reading: Reading, value: Any, place: Place, role: str) -> Activity:
    problems = reading.problems
    if isinstance(value, dict) and "ref" in value:
        value = _referred(reading, value, place)
        if value is None:
            return Activity("probe", "", {})
    section = Section(problems, value, place, "an activity", KEYS, loose=True)
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
    background = section.get("background", units.boolean, False)
    if background and role == "hypothesis":
        problems.add(
            section.at("background"),
            "a hypothesis' probe does not run in the background",
            why="Chaos Toolkit asks one after the other, whatever this says",
        )
    undone(section)
    provider = read_provider(problems, section)
    _granted(reading, provider, section)
    if "tolerance" in section:
        tolerance.check(
            Asked(problems, reading.variables, str(provider.get("type")), lambda one: _compared(reading, one)),
            section.data["tolerance"],
            section.at("tolerance"),
        )
    elif role == "hypothesis":
        problems.add(place, f"the probe '{name}' needs a 'tolerance'", why="a hypothesis must be able to fail")
    for words, where in control.read(problems, section.items("controls")):
        reading.uncovered.append((words, where, ()))
    fault, heals = None, ""
    if provider.get("module") == ACTIONS:
        fault = _fault(reading, provider, section, name)
        if role != "method":
            problems.add(
                section.at("provider"), f"a fault does not belong to the {role}", hint="faults stand in the method"
            )
    elif provider and foreign.acts(kind, provider):
        fault, heals = _foreign(reading, provider, section, name, role)
    before, after = pauses(section, reading.variables, known=fault is not None or bool(heals))
    deadline = provider.pop("deadline", 0.0)
    return Activity(
        kind,
        name,
        provider,
        section.data.get("tolerance"),
        before,
        after,
        fault,
        stated=stated.filled({**section.data, "provider": provider}) if provider else {},
        background=background,
        heals=heals,
        deadline=deadline,
    )


def _granted(reading: Reading, provider: Mapping[str, Any], section: Section) -> None:
    """Refuse a group of secrets that is not there: Chaos Toolkit would hand on an empty one."""
    groups, asked = reading.variables.secrets, provider.get("secrets")
    if asked is not None and not isinstance(asked, list):
        reading.problems.add(
            (*section.at("provider"), "secrets"), f"'secrets' must list names of groups, not {units.shown(asked)}"
        )
        return
    for group in asked or () if groups else ():
        if not isinstance(group, str) or group not in groups:
            reading.problems.add(
                (*section.at("provider"), "secrets"),
                f"there is no group of secrets {units.shown(group)}",
                why="the step would go on without",
                hint=nearest(str(group), groups),
            )


def undone(section: Section) -> None:
    """Refuse a dry run that a document asks for: Chaos Toolkit takes that wish from its command line alone."""
    if "dry" in section:
        section.problems.add(
            section.at("dry"), "'dry' is not read from a document", hint="harness plan touches nothing"
        )


def configured(reading: Reading, top: Section) -> None:
    """Refuse a probe of the configuration that is none: it is asked before anything else, plan and lease included."""
    for name in sorted(reading.variables.late):
        place = (*top.at("configuration"), name)
        section = Section(reading.problems, top.data["configuration"][name], place, f"'{name}'", KEYS, loose=True)
        provider = read_provider(reading.problems, section)
        if provider and (provider.get("module") == ACTIONS or foreign.acts("probe", provider)):
            reading.problems.add(
                section.at("provider"),
                f"this probe acts: {foreign.function(provider)}",
                why="the configuration is asked for before anything is planned",
                hint="actions belong to the method",
            )


def _referred(reading: Reading, value: Mapping[str, Any], place: Place) -> dict[str, Any] | None:
    """Give the activity that is referred to, with what the reference says itself."""
    problems, ref = reading.problems, value["ref"]
    Section(problems, value, place, "a reference", REFERENCE)
    target = reading.named.get(ref) if isinstance(ref, str) else None
    if target is None:
        problems.add(
            (*place, "ref"),
            f"no activity is named {units.shown(ref)}",
            why="a reference takes an activity of the method or a probe of the hypothesis",
            hint=nearest(str(ref), reading.named),
        )
        return None
    taken = {key: item for key, item in target.items() if key != "background"}
    return {**taken, **{key: value[key] for key in ("background", "tolerance") if key in value}}


def _foreign(
    reading: Reading, provider: Mapping[str, Any], section: Section, name: str, role: str
) -> tuple[FaultSpec | None, str]:
    """Read a step that acts as a fault, or as the undo of one; note it as uncovered when it is neither."""
    problems, place = reading.problems, section.at("provider")
    if role == "hypothesis" and not problems.lenient:
        problems.add(
            place,
            f"this probe acts: {foreign.function(provider)}",
            why="a hypothesis is asked again and again",
            hint="actions belong to the method",
        )
        return None, ""
    arguments = provider.get("arguments") or {}
    called = foreign.function(provider)
    found: FaultSpec | NodeChoice | None = None
    if role != "hypothesis" and isinstance(arguments, dict):
        try:
            arguments = reading.variables.fill(arguments)
            found = foreign.reads_as(provider, name, arguments)
            if isinstance(found, FaultSpec) and role == "method":
                _readable(found.target)
        except ValueError as error:
            if foreign.known(provider) and role == "method":
                problems.add(
                    (*place, "arguments"),
                    f"{called} cannot be read as a fault: {error}",
                    why="what a step touches is named, capped and undone like any fault",
                )
                return None, ""
    if isinstance(found, FaultSpec) and role == "method":
        own, chosen = reading.own(found), foreign.chosen(provider, arguments)
        if chosen is not None:
            reading.cordoned[chosen] = own.activity
        return own, ""
    if isinstance(found, NodeChoice) and found in reading.cordoned:
        return None, reading.cordoned[found]
    what = {"method": "step", "rollbacks": "rollback"}.get(role, "probe")
    reading.uncovered.append((f"{what} {name!r}, by {called}", section.place, foreign.namespaces(called, arguments)))
    return None, ""


def _readable(target: Target) -> None:
    """Hold a translated target to what ours may say; raises ValueError."""
    if target.namespace:
        namespace(target.namespace)
    if target.selector:
        selector(target.selector)
    if target.hosting:
        _hosting(target.hosting)


def _compared(reading: Reading, section: Section) -> None:
    """Read the provider of a probe that is a tolerance."""
    provider = read_provider(reading.problems, section)
    if provider.get("module") == ACTIONS:
        reading.problems.add(section.at("provider"), "a fault is no tolerance", hint="faults stand in the method")
    elif provider and foreign.acts("probe", provider):
        reading.problems.add(
            section.at("provider"),
            f"this tolerance acts: {foreign.function(provider)}",
            why="it is asked whenever its probe is",
            hint="actions belong to the method",
        )
    elif provider and not isinstance(section.data["provider"].get("arguments"), dict):
        reading.problems.add(
            section.at("provider"),
            "a probe that is a tolerance needs 'arguments', be it {}",
            why="Chaos Toolkit puts the answer there, as 'value'",
        )
    elif provider and provider["type"] != "python":
        reading.problems.add(
            section.at("provider"),
            f"a {provider['type']} provider that is a tolerance would tolerate everything",
            why="Chaos Toolkit takes whatever it answers, its status included, for a yes",
            hint="a function that returns true or false",
        )


def _fault(reading: Reading, provider: dict[str, Any], activity: Section, name: str) -> FaultSpec | None:
    problems = reading.problems
    place = (*activity.at("provider"), "arguments")
    func = str(provider.get("func", ""))
    kind = FAULTS.get(func)
    if activity.data.get("type") == "probe":
        problems.add(activity.at("type"), f"the fault '{func}' is an action, not a probe")
    if kind is None:
        problems.add((*activity.at("provider"), "func"), f"there is no fault '{func}'", hint=nearest(func, FAULTS))
        return None
    keys = ("target", *(parameter.name for parameter in kind.parameters))
    given = reading.filled(provider.get("arguments", {}), place)
    arguments = Section(problems, {} if given is None else given, place, f"the arguments of {func}", keys)
    parameters = {each.name: arguments.get(each.name, each.read, each.default) for each in kind.parameters}
    if "target" not in arguments:
        problems.add(place, f"{func} needs 'target'", why="every fault names what it may touch")
        return None
    section = Section(problems, arguments.data["target"], arguments.at("target"), "a target", TARGET_KEYS)
    return reading.own(FaultSpec(func, name, _target(problems, section, kind), parameters))


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
