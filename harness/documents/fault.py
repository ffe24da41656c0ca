"""Read an action of ours: which fault, its target, its parameters, how long it lasts and how often it is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.documents import target as targets
from harness.documents.reading import Reading
from harness.faults import FAULTS, FaultKind
from harness.model import share, units
from harness.model.fault import FaultSpec
from harness.source.closed import Section, nearest

# What every fault takes besides its target and its own parameters.
COURSE = ("duration", "times", "every", "late")
LONGEST_FAULT = 1800.0
MOST_TIMES = 100
FIRST = ("method", 0)


def read(reading: Reading, provider: Mapping[str, Any], activity: Section, name: str) -> FaultSpec | None:
    """Read the fault that an activity calls; None where it is none that could be planned."""
    problems = reading.problems
    place = (*activity.at("provider"), "arguments")
    func = str(provider.get("func", ""))
    kind = FAULTS.get(func)
    if activity.data.get("type") == "probe":
        problems.add(activity.at("type"), f"the fault '{func}' is an action, not a probe")
    if kind is None:
        problems.add((*activity.at("provider"), "func"), f"there is no fault '{func}'", hint=nearest(func, FAULTS))
        return None
    keys = ("target", *COURSE, *(parameter.name for parameter in kind.parameters))
    given = reading.filled(provider.get("arguments", {}), place)
    arguments = Section(problems, {} if given is None else given, place, f"the arguments of {func}", keys)
    parameters = {
        each.name: arguments.get(each.name, each.read, each.default, required=each.summary if each.required else "")
        for each in kind.parameters
    }
    if "target" not in arguments:
        problems.add(place, f"{func} needs 'target'", why="every fault names what it may touch")
        return None
    section = Section(problems, arguments.data["target"], arguments.at("target"), "a target", targets.KEYS)
    target = targets.read(section, kind)
    if kind.clash and (found := kind.clash(target, parameters)):
        problems.add(arguments.at(found[0]), found[1].what, why=found[1].why, hint=found[1].hint)
    where = f"{problems.source.path}:{problems.source.line(arguments.at('target'))}"
    return reading.own(FaultSpec(func, name, target, parameters, *_course(arguments, kind), place=where))


def _course(arguments: Section, kind: FaultKind) -> tuple[float | None, int, float, bool]:
    """Read how long a fault lasts, how often it is done, how far apart, and whether its targets are picked late."""
    problems = arguments.problems
    duration = arguments.get("duration", units.bounded(units.duration, LONGEST_FAULT), None)
    times = arguments.get("times", _times, 1)
    every = arguments.get("every", units.bounded(units.duration, LONGEST_FAULT), 0.0)
    if "every" in arguments and "times" not in arguments:
        problems.add(arguments.at("every"), "'every' belongs to 'times'", hint="times: 3")
    if times > 1 and duration is None and not kind.instant:
        problems.add(
            arguments.at("times"),
            f"{kind.name} that is done {times} times needs 'duration'",
            why="it is healed before it is done again",
            hint="duration: 10s",
        )
    return duration, times, every, _late(arguments, kind)


def _late(arguments: Section, kind: FaultKind) -> bool:
    """Read whether targets are picked when the step's turn comes: pods, which an earlier step can have made."""
    found = arguments.get("late", units.boolean, False)
    if "late" in arguments and kind.target != "pod":
        why = "what an earlier step makes, and no plan can name, is a pod"
        arguments.problems.add(arguments.at("late"), f"'late' picks pods, not {kind.target}s", why=why)
    elif found and arguments.place[:2] == FIRST:
        what, why = "the first step has its targets from the plan", "no earlier step can have made them"
        arguments.problems.add(arguments.at("late"), what, why=why, hint="leave out 'late'")
    return found


def _times(value: Any) -> int:
    found = share.count(value)
    if found > MOST_TIMES:
        raise ValueError(f"{found} is more than {MOST_TIMES}")
    return found
