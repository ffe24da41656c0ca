"""Load an experiment: a Chaos Toolkit document, with our extension or without; a wrong one is refused by file and line.

A document with the `harness` extension is held to a closed schema and to what it promises. One without is a document
of Chaos Toolkit's: all it asks for is done, or it is refused.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.checkers import OBJECTIVES
from harness.documents import control, meaning, stated, strategies, variables
from harness.documents.activity import activities, configured, undone
from harness.documents.extension import KEYS, Extension, extension, objective_parameters
from harness.documents.reading import HOMES, Reading
from harness.errors import UsageError
from harness.model import hashing, units
from harness.model.experiment import BlastRadius, Experiment
from harness.model.objective import Objective
from harness.source import LARGEST_BYTES, encoding, lines
from harness.source.closed import Problems, Section
from harness.source.lines import Place, Source

TOP = (
    "version", "title", "description", "tags", "contributions", "controls", "runtime",
    "configuration", "secrets", "steady-state-hypothesis", "method", "rollbacks", "extensions",
)  # fmt: skip
KEYS_OF_HYPOTHESIS = ("title", "probes", "controls")
# What no other file says of itself.
OF_CHAOS_TOOLKIT = re.compile(r"""^(?:[{\s]*["'])?(?:method|steady-state-hypothesis)["']?\s*:""", re.MULTILINE)
# What cannot be read is ours only when it says so with a key at the start of a line: many files mention both words.
KEY = re.compile(r"""^(?:[{\s]*["'])?extensions["']?\s*:""", re.MULTILINE)
NAMED = re.compile(r"""name["']?\s*:\s*["']?harness\b""")
# What is larger is not even looked through for such a key.
MOST_BYTES = 16 * LARGEST_BYTES
SLO_FILE = "stack/slo.yaml"
# Every experiment with load makes these promises, stated or not.
IMPLIED = tuple(name for name, kind in OBJECTIVES.items() if kind.standard)
# As the catalogue lists them, so that the same promises stand in the same order in every report.
ORDER = tuple(OBJECTIVES)


@dataclass(frozen=True, slots=True)
class Given:
    """What a document is given from outside: the environment, and values that replace those it states."""

    environ: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)


def is_document(path: Path) -> bool:
    """Say whether a file that somebody named is a document of Chaos Toolkit's; a broken one that looks so counts."""
    try:
        if not stat.S_ISREG((found := path.stat()).st_mode) or found.st_size > LARGEST_BYTES:
            return False
        text = encoding.decode(path.read_bytes(), "replace")
    except OSError:
        return False
    try:
        data = lines.read(text, path).data
    except (UsageError, ValueError, RecursionError):
        return bool(OF_CHAOS_TOOLKIT.search(text))
    if not isinstance(data, dict):
        return False
    # Any file may have a method; one without its title is to be told so.
    return stated.HYPOTHESIS in data or ("method" in data and any(key in data for key in ("title", "description")))


def is_experiment(path: Path) -> bool:
    """Say whether a file is an experiment of ours; a broken one counts, so that its error is shown and not skipped.

    So does one that cannot be read: nobody can say that it is none.
    """
    try:
        # Whoever reads a pipe waits for somebody who writes.
        if not stat.S_ISREG((found := path.stat()).st_mode) or found.st_size > MOST_BYTES:
            return False
        content = path.read_bytes()
    except FileNotFoundError:
        # Emacs keeps such a link to nowhere beside a file that is being edited.
        return path.is_symlink() and not path.name.startswith(".#")
    except OSError:
        return True
    text = encoding.decode(content, "replace")
    if "harness" not in text.partition("extensions")[2]:
        return False
    try:
        _require_small(path, len(content))
        data = lines.read(encoding.decode(content), path).data
    except (UsageError, ValueError, RecursionError):
        key = KEY.search(text)
        return bool(key and NAMED.search(text, key.end()))
    listed = data.get("extensions") if isinstance(data, dict) else None
    if isinstance(listed, dict):
        return ("method" in data or "steady-state-hypothesis" in data) and stated.claims(data)
    return isinstance(listed, list) and any(isinstance(item, dict) and item.get("name") == "harness" for item in listed)


def _require_small(path: Path, size: int) -> None:
    if size > LARGEST_BYTES:
        raise UsageError(
            f"the experiment is larger than {LARGEST_BYTES} bytes", where=str(path), why=f"it has {size} bytes"
        )


def load(path: Path, defaults: Mapping[str, Mapping[str, Any]] | None = None, given: Given | None = None) -> Experiment:
    """Load an experiment from a file; `defaults` are objectives that hold when the document has load.

    Raises UsageError naming every problem with its line.
    """
    with suppress(OSError):  # reading it says why
        _require_small(path, path.stat().st_size)
    return loads(encoding.read(path, "experiment"), path, defaults, given, promised=True)


def loads(
    text: str,
    path: Path,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
    given: Given | None = None,
    *,
    promised: bool = False,
    folder: Path | None = None,
) -> Experiment:
    """Load an experiment from text; `path` is where it says it comes from, `folder` where its load's files are.

    A file must promise something (`promised`); what a program writes may also perform a fault and nothing more.
    """
    given = given or Given(environ=os.environ)
    if not text.strip("\ufeff \t\r\n"):
        raise UsageError("the file is empty", where=f"{path}:1", hint="an experiment begins with 'title: ...'")
    document = lines.read(text, path)
    if not isinstance(document.data, dict):
        raise UsageError("an experiment is a mapping", where=f"{path}:1", hint="it begins with 'title: ...'")
    replaced = Source(path, stated.replaced(document.data, given.configuration, given.secrets), document.lines)
    problems = Problems(replaced, lenient=not stated.claims(replaced.data), homes=HOMES)
    top = Section(problems, replaced.data, (), "the experiment", TOP, loose=True)
    slo = _slo(Source(Path(SLO_FILE), dict(defaults or {}), {}))
    found = _experiment(problems, replaced, top, slo, given, (folder or path.parent).absolute())
    if promised and found.promising and found.faults and not found.objectives:
        problems.add(
            ("extensions",),
            "this experiment promises nothing",
            why="a hypothesis is asked before the faults and after them; what happens in between needs an objective",
            hint="add objectives, such as recovery: {within: 30s}",
        )
    problems.refuse()
    return found


def _experiment(
    problems: Problems,
    document: Source,
    top: Section,
    slo: Mapping[str, Objective],
    given: Given,
    folder: Path,
) -> Experiment:
    if top.data.get("method") is None:
        problems.add(top.at("method"), "the experiment needs 'method'", why="it lists the faults", hint="method: []")
    reading = Reading(problems, variables.read(problems, top, given.environ), stated.named(document.data))
    undone(top)
    configured(reading, top)
    controls = control.read(problems, top.items("controls"))
    hypothesis, probes = _hypothesis(reading, top)
    method = activities(reading, top.items("method"), "method")
    rollbacks = activities(reading, top.items("rollbacks"), "rollbacks")
    uncovered = [*((words, place, ()) for words, place in controls), *reading.uncovered]
    strategy, rolls_back = strategies.read(problems, top)
    implied: tuple[Objective, ...] = ()
    if problems.lenient:
        _named(problems, top.items("extensions"))
        ours = extension(Section(problems, {}, (), "the harness extension", KEYS), slo, folder)
        radius = meaning.named(method, [name for _, _, names in uncovered for name in names])
    else:
        ours = _extension(problems, top, slo, folder)
        radius = ours.blast_radius or BlastRadius()
        written = {objective.checker: objective for objective in ours.objectives}
        meaning.check(ours, method, probes, written, slo)
        meaning.covered(ours, uncovered)
        implied = tuple(slo[name] for name in IMPLIED if name in slo and name not in written) if ours.load else ()
    return Experiment(
        path=document.path,
        title=top.get("title", units.line, "", required="one line a person can read"),
        description=top.get("description", units.text, "", required="what is done and what should happen"),
        tags=tuple(_texts(problems, top.items("tags"))),
        hypothesis=hypothesis,
        probes=probes,
        method=method,
        rollbacks=rollbacks,
        sets=ours.sets,
        load=ours.load,
        phases=ours.phases,
        objectives=tuple(sorted((*implied, *ours.objectives), key=lambda objective: ORDER.index(objective.checker))),
        abort_when=ours.abort_when,
        blast_radius=radius,
        expect=ours.expect,
        digest=hashing.digest([document.data, implied, *_elsewhere(ours)]),
        promising=not problems.lenient,
        stated=stated.document(document.data, probes),
        uncovered=tuple(dict.fromkeys(words for words, _, _ in uncovered)),
        controlled=any(words.startswith("control ") for words, _, _ in uncovered),
        clustered=not problems.lenient
        or any(activity.fault for activity in method)
        or stated.of_kubernetes(document.data),
        strategy=strategy,
        rolls_back=rolls_back,
        schedule=ours.schedule,
        choices=ours.choices,
        parts=ours.parts,
    )


def _elsewhere(ours: Extension) -> list[Any]:
    """Return what the document means and does not say itself: the workload that it names."""
    return [ours.load.calls, ours.load.values] if ours.load and "workload" in ours.load.written else []


def _hypothesis(reading: Reading, top: Section) -> tuple[str, tuple[Any, ...]]:
    key, problems = "steady-state-hypothesis", reading.problems
    if top.data.get(key) is None:
        return "", ()
    section = Section(problems, top.data[key], top.at(key), "the hypothesis", KEYS_OF_HYPOTHESIS, loose=True)
    title = section.get("title", units.line, "", required="one line a person can read")
    for words, place in control.read(problems, section.items("controls")):
        reading.uncovered.append((words, place, ()))
    return title, activities(reading, section.items("probes"), "hypothesis")


def _named(problems: Problems, extensions: list[tuple[Place, Any]]) -> None:
    """Refuse an extension that is nobody's, as Chaos Toolkit does before a run."""
    for place, value in extensions:
        if not isinstance(value, dict):
            problems.add(place, f"an extension is a mapping, not {units.shown(value)}", hint="{name: ...}")
        elif not isinstance(value.get("name"), str) or not value["name"].strip():
            problems.add(place, "an extension needs 'name'", why="it says whose it is")


def _texts(problems: Problems, listed: list[tuple[Place, Any]]) -> list[str]:
    for place, value in listed:
        if not isinstance(value, str) or not value:
            problems.add(place, f"{units.shown(value)} is not a text")
    return [value for _, value in listed if isinstance(value, str)]


def _extension(problems: Problems, top: Section, slo: Mapping[str, Objective], folder: Path) -> Extension:
    listed = top.items("extensions")
    ours = [(place, value) for place, value in listed if isinstance(value, dict) and value.get("name") == "harness"]
    if not ours:
        hint = "extensions: [{name: harness, blast-radius: {...}}]"
        if not isinstance(top.data.get("extensions"), dict):
            problems.add(top.at("extensions"), "the document has no extension named harness", hint=hint)
        return extension(Section(problems, {}, (), "the harness extension", KEYS), slo, folder)
    if len(ours) > 1:
        problems.add(ours[1][0], "the harness extension is here twice")
    place, value = ours[0]
    return extension(Section(problems, value, place, "the harness extension", KEYS), slo, folder)


def defaults(path: Path) -> dict[str, dict[str, Any]]:
    """Read the stack's own objectives, as `load` takes them; raises UsageError by file and line."""
    document = lines.read(encoding.read(path, "objectives"), path)
    _slo(document)
    return {name: dict(stated) for name, stated in document.data.items()}


def slo_for(path: Path) -> Path | None:
    """Return the nearest `stack/slo.yaml` beside or above a document; None where there is none."""
    found = (folder / SLO_FILE for folder in path.resolve().parents)
    return next((file for file in found if os.access(file, os.F_OK)), None)


def defaults_for(path: Path) -> dict[str, dict[str, Any]] | None:
    """Read the objectives that hold for a document: those of the nearest `stack/slo.yaml` beside or above it.

    None when there is none. Where a command was started must not change what a document promises.
    """
    found = slo_for(path)
    return defaults(found) if found else None


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
