"""Load an experiment: a Chaos Toolkit document with a `harness` extension; a wrong one is refused by file and line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.model import LARGEST_BYTES, hashing, meaning, source, units
from harness.model.activity import activities
from harness.model.catalogue import OBJECTIVES
from harness.model.closed import Problems, Section
from harness.model.experiment import BlastRadius, Experiment
from harness.model.extension import KEYS, Extension, extension, objective_parameters
from harness.model.objective import Objective
from harness.model.source import Place, Source

TOP = (
    "version", "title", "description", "tags", "contributions", "controls", "runtime",
    "steady-state-hypothesis", "method", "rollbacks", "extensions",
)  # fmt: skip
# Values that change from machine to machine would make the same document mean different things.
UNREAD = ("configuration", "secrets")
# What cannot be read is ours only when it says so with a key at the start of a line: many files mention both words.
KEY = re.compile(r"""^(?:[{\s]*["'])?extensions["']?\s*:""", re.MULTILINE)
NAMED = re.compile(r"""name["']?\s*:\s*["']?harness\b""")
SLO_FILE = "stack/slo.yaml"
# Every experiment with load makes these promises, stated or not.
IMPLIED = ("availability", "latency")
# As the catalogue lists them, so that the same promises stand in the same order in every report.
ORDER = tuple(OBJECTIVES)


def is_experiment(path: Path) -> bool:
    """Say whether a file is an experiment of ours; a broken one counts, so that its error is shown and not skipped."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return False
        content = path.read_bytes()
    except OSError:
        return False
    text = content.decode(errors="replace")
    if "harness" not in text.partition("extensions")[2]:
        return False
    try:
        data = source.read(content.decode(), path).data
    except (UsageError, ValueError, RecursionError):
        key = KEY.search(text)
        return bool(key and NAMED.search(text, key.end()))
    listed = data.get("extensions") if isinstance(data, dict) else None
    return isinstance(listed, list) and any(isinstance(item, dict) and item.get("name") == "harness" for item in listed)


def load(path: Path, defaults: Mapping[str, Mapping[str, Any]] | None = None) -> Experiment:
    """Load an experiment from a file; `defaults` are objectives that hold when the document has load.

    Raises UsageError naming every problem with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("cannot read the experiment", where=str(path), why=str(error)) from error
    return loads(text, path, defaults, promised=True)


def loads(
    text: str,
    path: Path,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    promised: bool = False,
    folder: Path | None = None,
) -> Experiment:
    """Load an experiment from text; `path` is where it says it comes from, `folder` where its load's files are.

    A file must promise something (`promised`); what a program writes may also perform a fault and nothing more.
    """
    document = source.read(text, path)
    problems = Problems(document)
    if not isinstance(document.data, dict):
        raise UsageError("an experiment is a mapping", where=f"{path}:1", hint="it begins with 'title: ...'")
    unread = [key for key in UNREAD if key in document.data]
    for key in unread:
        problems.add(
            (key,),
            f"'{key}' is not read",
            why="the same document must mean the same everywhere",
            hint="write values out",
        )
    top = Section(problems, document.data, (), "the experiment", (*TOP, *unread))
    slo = _slo(Source(Path(SLO_FILE), dict(defaults or {}), {}))
    found = _experiment(problems, document, top, slo, (folder or path.parent).absolute())
    if promised and found.faults and not found.objectives:
        problems.add(
            ("extensions",),
            "this experiment promises nothing",
            why="a hypothesis is asked before the faults and after them; what happens in between needs an objective",
            hint="add objectives, such as recovery: {within: 30s}",
        )
    problems.refuse()
    return found


def _experiment(
    problems: Problems, document: Source, top: Section, slo: Mapping[str, Objective], folder: Path
) -> Experiment:
    if "method" not in top:
        problems.add((), "the experiment needs 'method'", why="it lists the faults")
    hypothesis, probes = _hypothesis(problems, top)
    method = activities(problems, top.items("method"), "method")
    ours = _extension(problems, top, slo, folder)
    written = {objective.checker: objective for objective in ours.objectives}
    meaning.check(ours, method, probes, written, slo)
    implied = tuple(slo[name] for name in IMPLIED if name in slo and name not in written) if ours.load else ()
    return Experiment(
        path=document.path,
        title=top.get("title", units.text, "", required="one line a person can read"),
        description=top.get("description", units.text, "", required="what is done and what should happen"),
        tags=tuple(_texts(problems, top.items("tags"))),
        hypothesis=hypothesis,
        probes=probes,
        method=method,
        rollbacks=activities(problems, top.items("rollbacks"), "rollbacks"),
        sets=ours.sets,
        load=ours.load,
        phases=ours.phases,
        objectives=tuple(sorted((*implied, *ours.objectives), key=lambda objective: ORDER.index(objective.checker))),
        abort_when=ours.abort_when,
        blast_radius=ours.blast_radius or BlastRadius(),
        expect=ours.expect,
        digest=hashing.digest([document.data, implied, *_elsewhere(ours)]),
    )


def _elsewhere(ours: Extension) -> list[Any]:
    """Give what the document means and does not say itself: the workload that it names."""
    return [ours.load.calls, ours.load.values] if ours.load and "workload" in ours.load.written else []


def _hypothesis(problems: Problems, top: Section) -> tuple[str, tuple[Any, ...]]:
    key = "steady-state-hypothesis"
    if top.data.get(key) is None:
        return "", ()
    section = Section(problems, top.data[key], top.at(key), "the hypothesis", ("title", "probes", "controls"))
    title = section.get("title", units.text, "", required="one line a person can read")
    return title, activities(problems, section.items("probes"), "hypothesis")


def _texts(problems: Problems, listed: list[tuple[Place, Any]]) -> list[str]:
    for place, value in listed:
        if not isinstance(value, str):
            problems.add(place, f"{units.shown(value)} is not a text")
    return [value for _, value in listed if isinstance(value, str)]


def _extension(problems: Problems, top: Section, slo: Mapping[str, Objective], folder: Path) -> Extension:
    listed = top.items("extensions")
    ours = [(place, value) for place, value in listed if isinstance(value, dict) and value.get("name") == "harness"]
    if not ours:
        hint = "extensions: [{name: harness, blast-radius: {...}}]"
        problems.add(top.at("extensions"), "the document has no extension named harness", hint=hint)
        return extension(Section(problems, {}, (), "the harness extension", KEYS), slo, folder)
    if len(ours) > 1:
        problems.add(ours[1][0], "the harness extension is here twice")
    place, value = ours[0]
    return extension(Section(problems, value, place, "the harness extension", KEYS), slo, folder)


def defaults(path: Path) -> dict[str, dict[str, Any]]:
    """Read the stack's own objectives, as `load` takes them; raises UsageError by file and line."""
    try:
        document = source.read(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("cannot read the objectives", where=str(path), why=str(error)) from error
    _slo(document)
    return {name: dict(stated) for name, stated in document.data.items()}


def defaults_for(path: Path) -> dict[str, dict[str, Any]] | None:
    """Read the objectives that hold for a document: those of the nearest `stack/slo.yaml` beside or above it.

    None when there is none. Where a command was started must not change what a document promises.
    """
    for folder in path.resolve().parents:
        found = folder / SLO_FILE
        if os.access(found, os.F_OK):
            return defaults(found)
    return None


def unpromised(experiment: Experiment) -> str:
    """Say what an experiment with load leaves unpromised for want of a `stack/slo.yaml`; empty when nothing."""
    made = {objective.checker for objective in experiment.objectives}
    lacking = [name for name in IMPLIED if experiment.load and name not in made]
    if not lacking:
        return ""
    return f"note: {experiment.path} is not judged for {' and '.join(lacking)}: no {SLO_FILE} is beside or above it"


def _slo(document: Source) -> dict[str, Objective]:
    problems = Problems(document)
    listed = Section(problems, document.data, (), "the stack's objectives", ORDER)
    found = {}
    for name in listed.data:
        if name in OBJECTIVES:
            keys = tuple(parameter.name for parameter in OBJECTIVES[name].parameters)
            section = Section(problems, listed.data[name], (name,), f"'{name}'", keys)
            found[name] = Objective(name, objective_parameters(section, name))
    problems.refuse()
    return found
