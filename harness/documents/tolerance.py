"""Read what a probe may answer: each kind of tolerance as Chaos Toolkit compares it, or a refusal before the run."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.documents.variables import Variables
from harness.model import units
from harness.model.units import shown
from harness.source.closed import Problems, Section, nearest
from harness.source.lines import Place

KINDS: Mapping[str, tuple[str, ...]] = {
    "range": ("type", "range", "target", "name"),
    "regex": ("type", "pattern", "target", "name"),
    "jsonpath": ("type", "path", "expect", "count", "target", "name"),
    # Chaos Toolkit calls it and looks at nothing else of it.
    "probe": ("type", "name", "provider"),
}
# Of each kind, what it compares with.
COMPARED = {"range": "range", "regex": "pattern", "jsonpath": "path", "probe": "provider"}
# What these providers answer with; a function may give anything.
PARTS: Mapping[str, tuple[str, ...]] = {
    "process": ("status", "stdout", "stderr"),
    "http": ("status", "headers", "body"),
}
# What says that all is well.
STATUS = {"process": "tolerance: 0", "http": "tolerance: 200, or {type: range, range: [200, 299], target: status}"}
# A number is no text, and headers are neither.
UNFIT = frozenset({("regex", "status"), ("regex", "headers"), ("range", "headers")})


@dataclass(frozen=True, slots=True)
class Asked:
    """The probe whose answer is compared: what calls it, what `${name}` means, and how a probe as tolerance is read."""

    problems: Problems
    variables: Variables
    called: str
    provider: Callable[[Section], None]


def check(asked: Asked, value: Any, place: Place) -> None:
    """Note what is wrong with a tolerance."""
    problems = asked.problems
    if isinstance(value, float):
        problems.add(
            place,
            f"{value:g} is not a tolerance",
            why="Chaos Toolkit compares no answer with a number that has a fraction",
            hint=f"{{type: range, range: [{value:g}, {value:g}]}}",
        )
        return
    if isinstance(value, str):
        _variable(asked, value, place)
        return
    if isinstance(value, list) and value:
        _unreplaced(asked, value, place, "a list")
        if not any(isinstance(one, int) and not isinstance(one, bool) for one in value):
            _never(asked, f"one of {value}", place, "[200, 201]: numbers are compared with its status")
        return
    if isinstance(value, bool):
        _never(asked, "true" if value else "false", place, STATUS.get(asked.called, ""))
    if isinstance(value, int):
        return
    kind = str(value.get("type") or "") if isinstance(value, dict) else ""
    if kind not in KINDS:
        hint = nearest(kind, KINDS) if kind else "write a value, a list, or {type: range, range: [3, 20]}"
        problems.add(place, f"{shown(value)} is not a tolerance", hint=hint)
        return
    section = Section(problems, value, place, f"a {kind} tolerance", KINDS[kind])
    key = COMPARED[kind]
    if key not in section:
        section.get(key, units.text, "", required="it says what is tolerated")
    else:
        readers: Mapping[str, Callable[[Section], None]] = {
            "range": _range,
            "regex": partial(_regex, asked),
            "jsonpath": _jsonpath,
            "probe": asked.provider,
        }
        readers[kind](section)
    _target(asked, section, kind)


def _variable(asked: Asked, value: str, place: Place) -> None:
    """Look at what a text stands for, as far as that is known before the run."""
    meant = asked.variables.known(value)
    if meant is None:
        return
    if not isinstance(meant, str):
        check(asked, meant, place)
    elif not meant.isdecimal():
        parts = PARTS.get(asked.called, ("",))
        _never(asked, shown(value), place, f"{{type: regex, pattern: {shown(value)}, target: {parts[-1]}}}")
    elif meant == value:
        _never(asked, shown(value), place, f"{value}, without quotes, is compared with its status")
    else:
        _never(asked, shown(value), place, "env_var_type: int makes a number of what an environment variable holds")


def _never(asked: Asked, answer: str, place: Place, hint: str) -> None:
    """Refuse what the answer of a server or a process is never equal to: it has parts."""
    if parts := PARTS.get(asked.called):
        asked.problems.add(
            place,
            f"a {asked.called} provider never answers {answer}",
            why=f"it answers with {', '.join(parts[:-1])} and {parts[-1]}, and Chaos Toolkit compares with all of them",
            hint=hint,
        )


def _unreplaced(asked: Asked, value: Any, place: Place, where: str) -> None:
    """Refuse a variable where Chaos Toolkit replaces none, so that the answer would be compared with its name."""
    try:
        meant = asked.variables.fill(value)
    except ValueError:
        meant = None
    if meant != value:
        asked.problems.add(
            place,
            f"no variable is replaced in {where} of a tolerance",
            why="Chaos Toolkit would compare the answer with the words as they stand",
            hint="write it out, or have the whole tolerance be one variable",
        )


def _target(asked: Asked, section: Section, kind: str) -> None:
    """Refuse a part of the answer that is never there, and a whole answer where only a part can be compared."""
    parts = tuple(part for part in PARTS.get(asked.called, ()) if (kind, part) not in UNFIT)
    target = section.data.get("target")
    if isinstance(target, str):
        _unreplaced(asked, target, section.at("target"), "the target")
    if not parts or kind == "probe":
        return
    answers = f"of what a {asked.called} provider answers it can be compared with {' or '.join(parts)}"
    if target and target not in parts:
        section.problems.add(
            section.at("target"), f"{shown(target)} cannot be compared", why=answers, hint=nearest(str(target), parts)
        )
    elif not target and kind in ("range", "regex"):
        section.problems.add(
            section.place, f"this {kind} tolerance needs 'target'", why=answers, hint=f"target: {parts[-1]}"
        )


def _range(section: Section) -> None:
    span = section.data["range"]
    numbers = isinstance(span, list) and len(span) == 2 and all(isinstance(end, int | float) for end in span)
    if not numbers or span[0] > span[1]:
        section.problems.add(
            section.place, "a range tolerance needs 'range' with its lower and upper end", hint="range: [3, 20]"
        )


def _regex(asked: Asked, section: Section) -> None:
    stated = section.data["pattern"]
    pattern = asked.variables.known(stated)
    if pattern is None and isinstance(stated, str):
        return
    if isinstance(stated, str) and not isinstance(pattern, str):
        section.problems.add(section.at("pattern"), f"{shown(stated)} stands for no text", hint=f"'^{stated}$'")
        return
    try:
        re.compile(pattern)
    except (TypeError, re.error, OverflowError, RecursionError) as error:
        section.problems.add(section.at("pattern"), f"{shown(stated)} is no regular expression", why=str(error))


def _jsonpath(section: Section) -> None:
    path, count, expected = section.data["path"], section.data.get("count"), section.data.get("expect")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
        section.problems.add(section.at("count"), f"{shown(count)} is not a whole number")
    elif count is not None and "expect" in section and "${" not in str(expected):
        members = len(expected) if isinstance(expected, list) else 1
        if count != members:
            section.problems.add(
                section.at("count"),
                f"{count} matches are counted, and {members} expected",
                why="Chaos Toolkit compares with 'expect' and does not count then",
                hint="leave one of them out",
            )
    if not isinstance(path, str) or not path.strip():
        section.problems.add(section.at("path"), f"{shown(path)} is no path, like $.items[*].status")
        return
    try:
        # Only a document that has such a tolerance pays for the parser.
        from jsonpath2.path import Path as JsonPath
    except ImportError:
        section.problems.add(
            section.at("path"),
            "a jsonpath tolerance needs the package jsonpath2",
            hint="pip install 'chaostoolkit-lib[jsonpath]'",
        )
        return
    try:
        # Its parser tells the terminal what it tells us.
        with contextlib.redirect_stderr(io.StringIO()):
            JsonPath.parse_str(path.strip())
    except Exception as error:  # the parser's own errors are of many kinds
        section.problems.add(section.at("path"), f"{shown(path)} is no path", why=str(error) or type(error).__name__)
