"""Read what a probe may answer: each kind of tolerance as Chaos Toolkit compares it, or a refusal before the run."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.model import units
from harness.model.closed import Problems, Section, nearest
from harness.model.source import Place
from harness.model.units import shown

PROBE_KEYS = ("type", "name", "provider", "tolerance", "pauses", "timeout", "controls", "background")
KINDS: Mapping[str, tuple[str, ...]] = {
    "range": ("type", "range", "target", "name"),
    "regex": ("type", "pattern", "target", "name"),
    "jsonpath": ("type", "path", "expect", "count", "target", "name"),
    "probe": PROBE_KEYS,
}
# Of each kind, what it compares with.
COMPARED = {"range": "range", "regex": "pattern", "jsonpath": "path", "probe": "provider"}
# What a probe that is a tolerance gets its answer from.
Provider = Callable[[Section], None]


def check(problems: Problems, value: Any, place: Place, provider: Provider) -> None:
    """Note what is wrong with a tolerance; `provider` reads that of a probe which is one."""
    if isinstance(value, float):
        problems.add(
            place,
            f"{value:g} is not a tolerance",
            why="Chaos Toolkit compares no answer with a number that has a fraction",
            hint=f"{{type: range, range: [{value:g}, {value:g}]}}",
        )
        return
    if isinstance(value, bool | int | str) or (isinstance(value, list) and value):
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
        {"range": _range, "regex": _regex, "jsonpath": _jsonpath, "probe": provider}[kind](section)


def _range(section: Section) -> None:
    span = section.data["range"]
    numbers = isinstance(span, list) and len(span) == 2 and all(isinstance(end, int | float) for end in span)
    if not numbers or span[0] > span[1]:
        section.problems.add(
            section.place, "a range tolerance needs 'range' with its lower and upper end", hint="range: [3, 20]"
        )


def _regex(section: Section) -> None:
    try:
        re.compile(section.data["pattern"])
    except (TypeError, re.error, OverflowError, RecursionError) as error:
        section.problems.add(
            section.at("pattern"), f"{shown(section.data['pattern'])} is no regular expression", why=str(error)
        )


def _jsonpath(section: Section) -> None:
    path, count = section.data["path"], section.data.get("count")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
        section.problems.add(section.at("count"), f"{shown(count)} is not a whole number")
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
