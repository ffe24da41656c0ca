"""Read the activities of a Chaos Toolkit document: foreign ones as they stand, ours as faults with a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.documents import control, foreign, stated, tolerance
from harness.documents import fault as faults
from harness.documents import target as targets
from harness.documents.provider import ACTIONS, pauses, read_provider
from harness.documents.reading import Reading
from harness.documents.tolerance import Asked
from harness.documents.translate import NodeChoice
from harness.documents.variables import PROBE
from harness.model import units
from harness.model.experiment import Activity
from harness.model.fault import FaultSpec
from harness.source.closed import Section, nearest
from harness.source.lines import Place

KEYS = ("type", "name", "provider", "tolerance", "pauses", "timeout", "controls", "background", "ref")
# What is asked of calls alone: a fault ends when it was felt and what it cost is back.
UNASKED = ("tolerance", "timeout")
# All that Chaos Toolkit looks at of a probe that gives a value of the configuration.
ASKED_BEFORE = ("type", "name", "provider")
# A reference takes everything else from what it refers to.
REFERENCE = ("ref", "background", "tolerance")


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
    provider = read_provider(problems, section, reading.variables)
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
        fault = faults.read(reading, provider, section, name)
        if role != "method":
            problems.add(
                section.at("provider"), f"a fault does not belong to the {role}", hint="faults stand in the method"
            )
    elif provider and foreign.acts(kind, provider):
        fault, heals = _foreign(reading, provider, section, name, role)
    before, after = pauses(section, reading.variables, known=fault is not None or bool(heals))
    deadline = provider.pop("deadline", 0.0)
    if fault or heals:
        _unasked(section, deadline)
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


def _unasked(section: Section, deadline: float) -> None:
    """Refuse of a step that is performed as a fault, or ends one, what is asked of calls alone."""
    asked = {key: section.at(key) for key in UNASKED if section.data.get(key) is not None}
    if deadline:
        asked.setdefault("timeout", (*section.at("provider"), "timeout"))
    for key, place in asked.items():
        section.problems.add(
            place,
            f"'{key}' means nothing to a fault",
            why="it ends when it was felt and what it cost is back; the phases say how long that is waited for",
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
    configuration = top.data.get("configuration")
    for name, value in configuration.items() if isinstance(configuration, dict) else ():
        if not isinstance(value, dict) or value.get("type") != PROBE:
            continue
        place = (*top.at("configuration"), name)
        section = Section(reading.problems, value, place, f"'{name}'", ASKED_BEFORE)
        provider = read_provider(reading.problems, section, reading.variables)
        if provider.get("deadline"):
            reading.problems.add(
                (*section.at("provider"), "timeout"),
                "a function that is asked for the configuration has no deadline",
                why="Chaos Toolkit knows none, and the run has not begun",
            )
        if provider and (provider.get("module") == ACTIONS or foreign.acts("probe", provider)):
            reading.problems.add(
                section.at("provider"),
                f"this probe acts: {foreign.function(provider)}",
                why="the configuration is asked for before anything is planned",
                hint="actions belong to the method",
            )


def _referred(reading: Reading, value: Mapping[str, Any], place: Place) -> dict[str, Any] | None:
    """Return the activity that is referred to, with what the reference says itself."""
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
                targets.require_readable(found.target)
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
    if not isinstance(arguments, dict):
        arguments = reading.variables.known(arguments) or arguments
    what = {"method": "step", "rollbacks": "rollback"}.get(role, "probe")
    reading.uncovered.append((f"{what} {name!r}, by {called}", section.place, foreign.namespaces(called, arguments)))
    return None, ""


def _compared(reading: Reading, section: Section) -> None:
    """Read the provider of a probe that is a tolerance."""
    provider = read_provider(reading.problems, section, reading.variables)
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
