"""Read the `harness` extension: load, phases, objectives, abort condition, caps and expectation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from harness.checkers import OBJECTIVES
from harness.documents import schedule
from harness.documents.target import namespace
from harness.load import written
from harness.model import units
from harness.model.experiment import SETS, BlastRadius, Choice, Expectation, Phases
from harness.model.load import LoadSpec
from harness.model.objective import AbortWhen, Objective
from harness.model.schedule import Schedule
from harness.model.verdict import Verdict
from harness.source.closed import Section, nearest
from harness.source.lines import Place
from harness.stack import parts

T = TypeVar("T")

KEYS = (
    "name",
    "sets",
    "load",
    "phases",
    "objectives",
    "abort-when",
    "blast-radius",
    "expect",
    "uncovered",
    "schedule",
    "choose",
    "parts",
)
LONGEST = {"settle": 1800.0, "baseline": 600.0, "hold": 1800.0, "recovery": 1800.0}
# What an experiment need not repeat: the objective whose budget a burn rate spends is the stack's.
INHERITED = ("objective",)
# A weakness that is known shows every time. Any other verdict says that nothing is known, and must stay an error: an
# unsteady cluster would make such an expectation come true.
EXPECTABLE = (Verdict.PASS, Verdict.DEVIATED)


@dataclass(frozen=True, slots=True)
class Extension:
    """What the extension says; its section is for problems found later.

    `uncovered` says that the document knows of steps that no plan covers.
    """

    section: Section
    sets: frozenset[str] = frozenset()
    load: LoadSpec | None = None
    phases: Phases = field(default_factory=Phases)
    objectives: tuple[Objective, ...] = ()
    abort_when: AbortWhen | None = None
    blast_radius: BlastRadius | None = None
    expect: Expectation = field(default_factory=Expectation)
    uncovered: bool = False
    schedule: Schedule | None = None
    choices: tuple[Choice, ...] = ()
    parts: tuple[str, ...] = ()


def extension(section: Section, slo: Mapping[str, Objective], folder: Path) -> Extension:
    """Read the extension from its section; problems are noted, not raised.

    `slo` are the stack's own objectives; files that the load names are looked for from `folder`.
    """
    return Extension(
        section=section,
        sets=_sets(section),
        load=_inside(section, "load", written.KEYS, lambda load: written.read(load, folder)),
        phases=_inside(section, "phases", tuple(LONGEST), _phases) or Phases(),
        objectives=_objectives(section, slo),
        abort_when=_inside(section, "abort-when", ("availability-below", "for"), _abort_when),
        blast_radius=_inside(section, "blast-radius", ("namespaces", "pods", "nodes"), _blast_radius),
        expect=_inside(section, "expect", ("verdict", "reason"), _expect) or Expectation(),
        uncovered=section.get("uncovered", units.boolean, False),
        schedule=_inside(section, "schedule", schedule.KEYS, schedule.read),
        choices=tuple(_choice(section, place, value) for place, value in section.items("choose")),
        parts=_parts(section),
    )


def _inside(section: Section, key: str, keys: tuple[str, ...], read: Callable[[Section], T]) -> T | None:
    if key not in section:
        return None
    return read(Section(section.problems, section.data[key], section.at(key), f"'{key}'", keys))


def _choice(section: Section, place: Place, value: Any) -> Choice:
    inside = Section(section.problems, value, place, "a choice", ("from", "take"))
    if inside.data and "from" not in inside and "from" not in inside.meant:
        section.problems.add(place, "a choice needs 'from'", hint="from: [a step, another], take: 1")
        return Choice(())
    for where, one in inside.items("from"):
        if not isinstance(one, str):
            section.problems.add(where, f"{units.shown(one)} is not the name of a step")
    names = tuple(one for _, one in inside.items("from") if isinstance(one, str))
    take = inside.get("take", units.integer, 1)
    if inside.data and not 1 <= take < len(names):
        section.problems.add(place, f"a choice takes fewer than all of its {len(names)} steps, and one at the least")
    return Choice(names, take)


def _one_of(known: tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in known:
            raise ValueError(f"{units.shown(value)} is not known; {nearest(str(value), known)}")
        return str(value)

    return read


def _sets(section: Section) -> frozenset[str]:
    found = set()
    for place, value in section.items("sets"):
        if value not in SETS:
            section.problems.add(place, f"there is no set {units.shown(value)}", hint=nearest(str(value), SETS))
        else:
            found.add(value)
    return frozenset(found)


def _parts(section: Section) -> tuple[str, ...]:
    # Where the harness is installed without the stack's files, the cluster that is asked before a run knows better.
    known, found = parts.names(), []
    for place, value in section.items("parts"):
        if not isinstance(value, str) or (known and value not in known):
            section.problems.add(place, f"there is no part {units.shown(value)}", hint=nearest(str(value), known))
        else:
            found.append(value)
    return tuple(found)


def _phases(section: Section) -> Phases:
    default = Phases()
    return Phases(
        settle=section.get("settle", _phase("settle"), default.settle),
        baseline=section.get("baseline", _phase("baseline"), default.baseline),
        hold=section.get("hold", _phase("hold"), default.hold),
        recovery=section.get("recovery", _phase("recovery"), default.recovery),
    )


def _phase(name: str) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        found = units.duration(value)
        if found > LONGEST[name]:
            raise ValueError(f"{value} is longer than {units.seconds(LONGEST[name])}")
        return found

    return read


def _objectives(section: Section, slo: Mapping[str, Objective]) -> tuple[Objective, ...]:
    if "objectives" not in section:
        return ()
    listed = Section(
        section.problems, section.data["objectives"], section.at("objectives"), "'objectives'", tuple(OBJECTIVES)
    )
    return tuple(_objective(listed, name, slo) for name in listed.data if name in OBJECTIVES)


def _objective(listed: Section, name: str, slo: Mapping[str, Objective]) -> Objective:
    keys = (*(parameter.name for parameter in OBJECTIVES[name].parameters), "why")
    section = Section(listed.problems, listed.data[name], listed.at(name), f"'{name}'", keys)
    why = section.get("why", units.text, "")
    promised = slo[name].parameters if name in slo else {}
    inherited = {key: promised[key] for key in INHERITED if key in promised}
    parameters = objective_parameters(section, name, inherited)
    return Objective(name, parameters, why)


def objective_parameters(section: Section, name: str, inherited: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Read one objective's parameters with their defaults; what is neither written nor has a default is left out."""
    kind, known = OBJECTIVES[name], inherited or {}
    read = {}
    for each in kind.parameters:
        needed = "a promise has a number" if each.required and each.name not in known else ""
        read[each.name] = section.get(each.name, each.read, known.get(each.name, each.default), required=needed)
    if kind.one_of and not any(key in section for key in kind.one_of):
        section.problems.add(
            section.place, f"'{name}' needs one of {', '.join(kind.one_of)}", why="a promise has a number"
        )
    return {key: value for key, value in read.items() if value is not None}


def _abort_when(section: Section) -> AbortWhen:
    return AbortWhen(
        availability_below=section.get(
            "availability-below", units.ratio, 0.0, required="the ratio to stop at, like 80%"
        ),
        for_seconds=section.get("for", units.bounded(units.duration, 600.0, 1.0), 10.0),
    )


def _blast_radius(section: Section) -> BlastRadius:
    names = section.each("namespaces", namespace)
    if section.data and not names:
        section.problems.add(
            section.place, "'blast-radius' needs 'namespaces'", why="a run touches only what is listed"
        )
    return BlastRadius(names, section.get("pods", _cap, 0), section.get("nodes", _cap, 0))


def _cap(value: Any) -> int:
    found = units.integer(value)
    if found < 0:
        raise ValueError(f"{found} is not a count")
    return found


def _expect(section: Section) -> Expectation:
    names = tuple(verdict.value for verdict in EXPECTABLE)
    verdict = Verdict(section.get("verdict", _one_of(names), "PASS", required=f"one of {', '.join(names)}"))
    reason = section.get("reason", units.text, "")
    if verdict is not Verdict.PASS and not reason:
        section.problems.add(
            section.place, f"expecting {verdict} needs a 'reason'", why="a known weakness is declared, not hidden"
        )
    return Expectation(verdict, reason)
