"""Read YAML and JSON into plain values that remember the line each came from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UsageError
from harness.model.units import shown
from harness.source import json_text
from harness.source.json_text import DEEPEST, LARGEST, LONGEST_NUMBER, Place

__all__ = ["Place", "Source", "read"]

# The C parser reads the same language some ten times faster; a build of PyYAML without it is still correct.
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MERGE = "tag:yaml.org,2002:merge"
COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
# Control characters that neither language has.
NO_SIGN = frozenset(map(chr, range(32))) - {"\t", "\n", "\r"} | {"\x7f"}
# Written by some editors; neither language knows it.
MARK = "\ufeff"
HALVED = "half of a surrogate pair is no text; write the letter itself"


@dataclass(frozen=True, slots=True)
class Source:
    """One document: its file, its values, and the line of each value by its place in the document."""

    path: Path
    data: Any
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """Return the line of a place, or of the nearest thing around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read(text: str, path: Path) -> Source:
    """Read one document: JSON by its name, YAML, or JSON that no YAML parser takes.

    Raises UsageError with file and line when it is neither.
    """
    text = text.removeprefix(MARK)
    if path.suffix == ".json":
        return Source(path, *json_text.read(text, path))
    try:
        return _yaml(text, path)
    except UsageError:
        # Escaped surrogate pairs, as Python's encoder writes an emoji, and tabs between values are JSON's alone.
        if not text.lstrip().startswith("{"):
            raise
        try:
            return Source(path, *json_text.read(text, path))
        except UsageError:
            pass
        raise


def read_all(text: str, path: Path) -> list[Source]:
    """Read the documents of a YAML file, of which it may hold several; raises UsageError with file and line."""
    return list(_every(text.removeprefix(MARK), path, single=False))


def _yaml(text: str, path: Path) -> Source:
    return next(_every(text, path, single=True))


def _every(text: str, path: Path, *, single: bool) -> Iterator[Source]:
    try:
        _refuse_depth(text, path)
        loader = Loader(text)
        try:
            while single or loader.check_node():
                root = loader.get_single_node() if single else loader.get_node()
                reading = _Reading(path, loader)
                yield Source(path, reading.value(root, ()) if root is not None else None, reading.lines)
                if single:
                    return
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _refused(error, text, path) from error


def _refused(error: yaml.YAMLError, text: str, path: Path) -> UsageError:
    """Say which line is wrong, and what mends it."""
    mark, problem = getattr(error, "problem_mark", None), str(getattr(error, "problem", None) or error)
    hint = "mind indentation, colons and quotes"
    if isinstance(error, yaml.reader.ReaderError):
        # Its position counts bytes, or letters where the parser is the slow one.
        found = next((number for number, line in enumerate(text.split("\n"), 1) if not NO_SIGN.isdisjoint(line)), 1)
        return UsageError(
            "this is not valid YAML", where=f"{path}:{found}", why=f"{error.reason}: a character of no text"
        )
    if isinstance(error, yaml.composer.ComposerError) and "another document" in problem:
        problem, hint = "a file holds one document, and this one goes on after '---'", "one file for each"
    elif isinstance(error, yaml.constructor.ConstructorError):
        hint = "write out what the tag stands for"
    elif mark and "cannot start any token" in problem:
        letter = text.split("\n")[mark.line][mark.column : mark.column + 1]
        problem = "a tab begins the line" if letter == "\t" else f"{letter!r} begins no value"
        hint = "indent with spaces" if letter == "\t" else "quote the text"
    where = f"{path}:{mark.line + 1}" if mark else str(path)
    return UsageError("this is not valid YAML", where=where, why=problem, hint=hint)


def _refuse_depth(text: str, path: Path) -> None:
    """Refuse endless nesting; whoever follows it would run out of stack, the C parser without a word."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            where = f"{path}:{event.start_mark.line + 1}" if event.start_mark else str(path)
            raise UsageError(f"the document is nested more than {DEEPEST} levels deep", where=where)


def _halved(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


class _Reading:
    """Turn nodes into values: duplicate keys, endless aliases and values beyond JSON are refused."""

    def __init__(self, path: Path, loader: Any) -> None:
        self.path, self.loader = path, loader
        self.lines: dict[Place, int] = {}
        self.open: set[int] = set()
        self.count = 0

    def value(self, node: Any, place: Place) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(place, line)
        self.count += 1
        if id(node) in self.open:
            raise self.refused(node, "this alias contains itself")
        # Not the places: what merge keys take over again and again has one place only.
        if self.count > LARGEST:
            raise self.refused(node, f"the document holds more than {LARGEST} values")
        # Aliases nest what is written side by side.
        if len(self.open) > DEEPEST:
            raise self.refused(node, f"the document is nested more than {DEEPEST} levels deep")
        if isinstance(node, yaml.CollectionNode) and node.tag not in COLLECTIONS:
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            raise self.refused(node, f"{shown(kind)} values are not read; write a mapping or a list")
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, place)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
            return self.scalar(node)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: Any, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        # Merge keys first: a key that is stated as well keeps the line where it is stated.
        for key_node, value_node in sorted(node.value, key=lambda pair: pair[0].tag != MERGE):
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.refused(key_node, "a key must be a text")
            key = str(key_node.value)
            if _halved(key):
                raise self.refused(key_node, HALVED)
            if key_node.tag == MERGE:
                merged = {**self.merged(value_node, place), **merged}
                continue
            if key in found:
                raise self.refused(key_node, f"the key '{key}' is here twice")
            # Set before the value so that a wrong value of several lines is shown at its key.
            self.lines[(*place, key)] = key_node.start_mark.line + 1
            found[key] = self.value(value_node, (*place, key))
        # What a mapping states itself goes before what it takes over, wherever the two stand.
        return {**merged, **found}

    def merged(self, node: Any, place: Place) -> dict[str, Any]:
        """Read what `<<` takes over: one mapping, or several of which the first to state a key counts."""
        listed = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for one in listed:
            taken = self.value(one, place)
            if not isinstance(taken, dict):
                raise self.refused(one, "'<<' takes over a mapping, or a list of mappings")
            found = {**taken, **found}
        return found

    def scalar(self, node: Any) -> Any:
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        kind = node.tag.rpartition(":")[2]
        if kind in ("int", "float") and len(node.value) > LONGEST_NUMBER:
            raise self.refused(node, f"{shown(node.value)} is a number of {len(node.value)} digits")
        try:
            value = self.loader.construct_object(node)
        except (ValueError, KeyError, IndexError):
            raise self.refused(node, f"{shown(node.value)} is not of the kind {kind}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self.refused(node, f"{shown(node.value)} is not a finite number")
        if value is not None and not isinstance(value, str | int | float | bool):
            raise self.refused(node, f"{kind} values are not read; quote the text")
        if isinstance(value, str) and _halved(value):
            raise self.refused(node, HALVED)
        return value

    def refused(self, node: Any, what: str) -> UsageError:
        return UsageError(what, where=f"{self.path}:{node.start_mark.line + 1}")
