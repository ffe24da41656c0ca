"""Make an experiment of what another tool is told: chaoskube's arguments, Litmus' engines.

What cannot be honoured is refused with its line; what only changes how the other tool speaks is told in a comment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.documents import document
from harness.documents.imports import chaoskube, litmus
from harness.documents.imports.wanted import Wanted
from harness.errors import UsageError
from harness.model import units
from harness.source import encoding, lines
from harness.source.closed import Problems, refuse
from harness.source.lines import Source

__all__ = ["Imported", "Wanted", "read"]

NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Imported:
    """One experiment: the name that its file should have, and its text with what is to be known of it."""

    name: str
    text: str


def read(paths: Sequence[Path], wanted: Wanted) -> list[Imported]:
    """Read every object of these files that means an experiment; raises UsageError naming each problem with its line.

    `wanted` says what the files leave open.
    """
    sources = [source for path in paths for source in _objects(path)]
    problems = {source.path: Problems(source) for source in sources}
    found: list[tuple[str, Mapping[str, Any], Sequence[str]]] = []
    for source in sources:
        noted = Problems(source)
        if chaoskube.means(source.data):
            found.append(chaoskube.read(noted, source.data, wanted))
        elif litmus.means(source.data):
            found += litmus.read(noted, source.data, wanted, [one.data for one in sources])
        problems[source.path].found += noted.found
    refuse([error for one in problems.values() for error in one.errors])
    if not found:
        raise UsageError(
            "nothing here is known",
            where=", ".join(map(str, paths)),
            why="neither a workload that runs chaoskube nor a ChaosEngine or ChaosExperiment of Litmus",
        )
    names = [name for name, _, _ in found]
    for name in names:
        if not NAME.fullmatch(name) or names.count(name) > 1:
            why = "a file is named for it" if names.count(name) == 1 else "two objects have it, and each becomes a file"
            raise UsageError(f"{units.shown(name)} cannot be the name of an experiment", why=why, hint="metadata.name")
    return [_imported(name, data, notes) for name, data, notes in found]


def _objects(path: Path) -> list[Source]:
    found = lines.read_all(encoding.read(path, "file"), path)
    return [source for source in found if isinstance(source.data, dict)]


def _imported(name: str, data: Mapping[str, Any], notes: Sequence[str]) -> Imported:
    head = "".join(f"# {line}\n" for note in notes for line in note.splitlines())
    text = head + yaml.safe_dump(dict(data), sort_keys=False, width=120, allow_unicode=True)
    # What is written here must be what is read elsewhere.
    document.loads(text, Path(f"{name}.yaml"), promised=True)
    return Imported(name, text)
