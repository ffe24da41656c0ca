"""Read mappings whose keys are all known, and gather every problem of a document before refusing it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from harness.errors import UsageError
from harness.model.units import shown
from harness.source.lines import Place, Source

T = TypeVar("T")


EMPTY: Mapping[str, tuple[str, str]] = {}
# So close to a known key that it was meant to be that one: `rollback` for `rollbacks`.
MISSPELT = 0.8


class Problems:
    """Every problem found in one document.

    `lenient` says that the document does not claim to be ours: keys that mean nothing to Chaos Toolkit either are then
    nobody's business, unless they look like a known one that was misspelt, or are one that belongs elsewhere: `homes`
    says where.
    """

    def __init__(self, source: Source, *, lenient: bool = False, homes: Mapping[str, str] | None = None) -> None:
        self.source, self.lenient, self.homes = source, lenient, homes or {}
        self.found: list[tuple[int, UsageError]] = []

    def add(self, place: Place, what: str, *, why: str = "", hint: str = "") -> None:
        """Note one problem at a place of the document."""
        line = self.source.line(place)
        self.found.append((line, UsageError(what, where=f"{self.source.path}:{line}", why=why, hint=hint)))

    @property
    def errors(self) -> list[UsageError]:
        """List all problems, in the order of their lines."""
        return [error for _, error in sorted(self.found, key=lambda pair: pair[0])]

    def refuse(self) -> None:
        """Raise one UsageError that tells all problems, in the order of their lines; none is fine."""
        refuse(self.errors)


def refuse(errors: Sequence[UsageError]) -> None:
    """Raise one UsageError that tells all of these; none is fine."""
    if not errors:
        return
    if len(errors) == 1:
        raise errors[0]
    # Each problem keeps its own place, reason and mending, so the whole renders like a list of single errors.
    whole = "\n".join(str(error) for error in errors)
    raise UsageError(whole.removeprefix(f"{errors[0].where}: "), where=errors[0].where)


class Section:
    """One mapping of the document: an unknown key is a problem, and so is a value its reader refuses.

    `loose` says that Chaos Toolkit's users put words of their own here, which in a lenient document are theirs.
    `unread` are keys that mean something to whom the document is for, and here are a problem: why, and what mends it.
    """

    def __init__(
        self,
        problems: Problems,
        value: Any,
        place: Place,
        name: str,
        keys: Collection[str],
        *,
        loose: bool = False,
        unread: Mapping[str, tuple[str, str]] = EMPTY,
    ) -> None:
        self.problems, self.place, self.name = problems, place, name
        self.data: Mapping[str, Any] = {}
        self.meant: set[str] = set()
        if not isinstance(value, dict):
            problems.add(place, f"{name} must be a mapping, not {shown(value)}", hint=f"its keys are {', '.join(keys)}")
            return
        self.data = value
        for key in value:
            theirs = loose and problems.lenient and not difflib.get_close_matches(key, keys, n=1, cutoff=MISSPELT)
            if key in keys:
                continue
            if key in unread:
                why, hint = unread[key]
                problems.add((*place, key), f"'{key}' is not read", why=why, hint=hint)
            elif not theirs:
                problems.add((*place, key), f"unknown key '{key}' in {name}", hint=nearest(key, keys))
                self.meant.update(difflib.get_close_matches(key, list(keys), n=1))
            elif key in problems.homes:
                why = "Chaos Toolkit would pass over it"
                hint = (
                    f"it belongs to {problems.homes[key]}"
                    if problems.homes[key]
                    else "leave it out, and what it is about"
                )
                problems.add((*place, key), f"'{key}' means nothing in {name}", why=why, hint=hint)

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def at(self, key: str) -> Place:
        """Return the place of one of this mapping's keys."""
        return (*self.place, key)

    def get(self, key: str, reader: Callable[[Any], T], default: T, *, required: str = "") -> T:
        """Read one key; when it is missing give the default, and note a problem if `required` says why it is needed."""
        if key not in self.data:
            # A misspelt key is one problem, not two.
            if required and key not in self.meant:
                self.problems.add(self.place, f"{self.name} needs '{key}'", why=required)
            return default
        try:
            return reader(self.data[key])
        except ValueError as error:
            self.problems.add(self.at(key), f"'{key}': {error}")
            return default

    def items(self, key: str) -> list[tuple[Place, Any]]:
        """Return the members of a list with their places; a missing list is empty."""
        value = self.data.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problems.add(self.at(key), f"'{key}' must be a list, not {shown(value)}")
            return []
        return [((*self.at(key), index), item) for index, item in enumerate(value)]

    def each(self, key: str, reader: Callable[[Any], T]) -> tuple[T, ...]:
        """Read the members of a list; one that its reader refuses is a problem at its own place, and left out."""
        found = []
        for place, value in self.items(key):
            try:
                found.append(reader(value))
            except ValueError as error:
                self.problems.add(place, str(error))
        return tuple(found)


def nearest(word: str, known: Collection[str]) -> str:
    """Say which known word was probably meant, or list them all."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(sorted(known)) or 'nothing'}"
