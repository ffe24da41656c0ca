"""Read `gameday.yaml`: who does what and when, and which experiments in which order.

A name is recorded and never checked: this is no identity system.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from harness.documents import document
from harness.documents.schedule import timezone
from harness.errors import UsageError
from harness.model import hashing, units
from harness.model.experiment import Experiment
from harness.source import closed, encoding, lines
from harness.source.closed import Problems, Section

FILE, RUNS = "gameday.yaml", "runs"
# What stands in every plan, and why.
TEXTS = {
    "title": "one line a person can read",
    "rollback": "what is done by hand, should undoing not be enough",
    "communication": "who is told, where, and whom to call",
}
LISTS = {
    "goals": "what is to be learnt",
    "risks": "what may go wrong beyond what is meant to",
    "abort-when": "whoever sees one of these aborts, and asks nobody",
    "experiments": "they are what is done",
}
SECTIONS = {
    "window": ("from", "to", "timezone"),
    "roles": ("owner", "coordinator", "driver", "scribe", "author", "observers", "responders", "approvers"),
}
KEYS = (*TEXTS, *LISTS, *SECTIONS, "context", "seed", "tolerated-alerts")
ONE = {
    "owner": "who answers for the day",
    "coordinator": "who gives the word at each hold point",
    "driver": "who types",
    "scribe": "who keeps the log",
}
# Who stands behind the plan cannot be the one who finds its mistakes.
PARTIAL = ("author", "owner", "driver")
APPROVALS = 2
APPROVING = "two people approve, and neither author, owner nor driver is one of them"
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
LONGEST = timedelta(days=7)
NEVER = datetime.max.replace(tzinfo=UTC)
SEEDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """One experiment of the day: what is expected of it in words, and what has to be so before it begins."""

    number: int
    experiment: Experiment
    expected: str
    before: str = ""

    @property
    def name(self) -> str:
        """Return the experiment's name."""
        return self.experiment.name


@dataclass(frozen=True, slots=True)
class GameDay:
    """A plan, complete and valid.

    `roles` holds names by their role. `parts` is what an approval is of: the digest of every key of the file, and of
    every experiment with all that its document inherits.
    """

    folder: Path
    title: str
    rollback: str
    communication: str
    goals: tuple[str, ...]
    risks: tuple[str, ...]
    abort_when: tuple[str, ...]
    window: tuple[datetime, datetime]
    roles: Mapping[str, tuple[str, ...]]
    steps: tuple[Step, ...]
    context: str | None
    seed: int
    tolerated: tuple[str, ...]
    parts: Mapping[str, str]

    @property
    def hash(self) -> str:
        """Return what an approval binds to."""
        return hashing.digest(self.parts)

    @property
    def coordinator(self) -> str:
        """Return who gives the word."""
        return self.roles["coordinator"][0]

    @property
    def period(self) -> str:
        """Write the window on one line."""
        start, end = (f"{moment:%Y-%m-%d %H:%M}" for moment in self.window)
        return f"{start} to {end[11:] if end[:10] == start[:10] else end} {self.window[0].tzinfo}"

    def role(self, name: str) -> str:
        """Say which roles the plan gives to a name; nothing where it does not know it."""
        found = (role for role, names in self.roles.items() if any(same(name, one) for one in names))
        return ", ".join(role.removesuffix("s") for role in found)


def same(one: str, other: str) -> bool:
    """Say whether two names are one person's, as far as a name can tell."""
    folded = (" ".join(unicodedata.normalize("NFKC", name).casefold().split()) for name in (one, other))
    return len({*folded}) == 1


def require(folder: Path) -> Path:
    """Return the file of the plan; raises UsageError where a folder has none."""
    path = folder / FILE
    if not path.is_file():
        hint = "`-d DIR` names its folder, `harness gameday new DIR` makes one"
        raise UsageError("there is no game day here", where=str(path), hint=hint)
    return path


def read(folder: Path) -> GameDay:
    """Read the plan of a folder with all experiments that it names; raises UsageError that tells every problem."""
    path = require(folder)
    source = lines.read(encoding.read(path, "game day"), path)
    if not isinstance(source.data, dict):
        raise UsageError("a game day is a mapping", where=f"{path}:1", hint="`harness gameday new DIR` writes one")
    problems, wrong = Problems(source), list[UsageError]()
    top = Section(problems, source.data, (), "the game day", KEYS)
    plan: dict[str, Any] = {key: top.get(key, _filled(why), "", required=why) for key, why in TEXTS.items()}
    for key, why in LISTS.items():
        if not top.data.get(key) and key not in top.meant:
            problems.add(top.at(key), f"the game day needs '{key}'", why=why)
        if key != "experiments":
            plan[key.replace("-", "_")] = top.each(key, units.line)
    plan |= {"window": _window(_section(top, "window")), "roles": _roles(_section(top, "roles"))}
    entries = [
        Section(problems, value, place, "an experiment of the day", ("file", "expected", "hold-point"))
        for place, value in top.items("experiments")
    ]
    steps = [_step(entry, number, folder, wrong) for number, entry in enumerate(entries, 1)]
    seed = top.get("seed", units.bounded(units.integer, SEEDS - 1), -1.0)
    context = top.get("context", units.line, "")
    tolerated = top.each("tolerated-alerts", units.line)
    closed.refuse([*problems.errors, *wrong])
    found = [step for step in steps if step]
    parts = {key: hashing.digest(value) for key, value in source.data.items() if key != "experiments"}
    for step, entry in zip(found, source.data["experiments"], strict=True):
        parts[f"experiment {step.number}, {step.name}"] = hashing.digest([entry, step.experiment.digest])
    return GameDay(
        folder=folder,
        steps=tuple(found),
        context=context or None,
        # The same plan picks the same targets.
        seed=int(seed) if seed >= 0 else int(hashing.digest(parts)[:8], 16) % SEEDS,
        tolerated=tolerated,
        parts=parts,
        **plan,
    )


def _filled(why: str) -> Callable[[Any], str]:
    """Return a reader of a text that says of an empty one what belongs there."""

    def read(value: Any) -> str:
        if value is None:
            raise ValueError(f"nothing stands there: {why}")
        return units.text(value)

    return read


def _section(top: Section, key: str) -> Section:
    value = top.data.get(key)
    if value is None and key not in top.meant:
        top.problems.add(top.at(key), f"the game day needs '{key}'", hint=f"its keys are {', '.join(SECTIONS[key])}")
    return Section(top.problems, {} if value is None else value, top.at(key), f"'{key}'", SECTIONS[key])


def _window(section: Section) -> tuple[datetime, datetime]:
    def moment(value: Any) -> datetime:
        if not isinstance(value, str) or not MOMENT.fullmatch(value.strip()):
            raise ValueError(f"{units.shown(value)} is not a time, like 2026-12-03 10:00")
        found = datetime.fromisoformat(value.strip()).replace(tzinfo=zone)
        if found.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != found.replace(tzinfo=None):
            raise ValueError(f"{units.shown(value)} is never in {zone}: clocks are put forward")
        return found

    why = "nothing is broken outside of it" if section.data else ""
    zone = ZoneInfo(section.get("timezone", timezone, "UTC", required=why))
    start, end = (section.get(key, moment, NEVER, required=why) for key in ("from", "to"))
    if NEVER not in (start, end) and not timedelta() < end - start <= LONGEST:
        section.problems.add(section.at("to"), f"the window must end after it begins, within {LONGEST.days} days")
    return start, end


def _roles(section: Section) -> dict[str, tuple[str, ...]]:
    single = {key: section.get(key, _filled(why), "", required=why if section.data else "") for key, why in ONE.items()}
    single["author"] = section.get("author", units.text, "")
    found: dict[str, tuple[str, ...]] = {key: (name,) for key, name in single.items() if name}
    found |= {key: section.each(key, units.line) for key in ("observers", "responders", "approvers")}
    for place, name in section.items("approvers"):
        role = next((role for role in PARTIAL if isinstance(name, str) and same(name, single[role])), "")
        if role:
            section.problems.add(place, f"{units.shown(name)} is the {role} and cannot approve", why=APPROVING)
        elif sum(same(str(name), one) for one in found["approvers"]) > 1:
            section.problems.add(place, f"{units.shown(name)} is here more than once", why=APPROVING)
    if section.data and len(found["approvers"]) < APPROVALS and "approvers" not in section.meant:
        section.problems.add(section.at("approvers"), f"'roles' needs {APPROVALS} approvers", why=APPROVING)
    return found


def _step(section: Section, number: int, folder: Path, wrong: list[UsageError]) -> Step | None:
    why = "which experiment, and what should be seen, in words" if section.data else ""
    file, expected = (section.get(key, _filled(why), "", required=why) for key in ("file", "expected"))
    before = section.get("hold-point", units.text, "")
    path = (folder / file).resolve()
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    if not path.is_file():
        if file:
            section.problems.add(section.at("file"), f"there is no experiment {path}", why="it is looked for from here")
        return None
    try:
        found = document.load(path, document.defaults_for(path))
    except UsageError as error:
        wrong.append(error)
        return None
    if not found.promising:
        section.problems.add(section.at("file"), f"{path} states no blast radius", why="it has no extension of ours")
    elif found.uncovered and not found.rollbacks:
        what = f"nothing undoes what {path} changes: {'; '.join(found.uncovered)}"
        section.problems.add(section.at("file"), what, why="whatever a game day breaks has an undo", hint="rollbacks")
    return Step(number, found, expected, before)
