"""Read JSON into plain values that remember the line each came from, with the standard library's own rules.

Chaos Toolkit reads `.json` files as JSON. A YAML parser knows neither tabs between values nor surrogate pairs.
"""

from __future__ import annotations

import bisect
import json
import json.decoder
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.model.units import shown

Place = tuple[str | int, ...]
LARGEST = 50_000
DEEPEST = 100
LONGEST_NUMBER = 40
NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
BLANK = re.compile(r"[ \t\n\r]*")
WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
NOT_FINITE = re.compile(r"-?(?:NaN|Infinity)\b")


def read(text: str, path: Path) -> tuple[Any, dict[Place, int]]:
    """Return the values of one JSON document and the line of each place; raise UsageError when it is none."""
    reading = _Reading(text, path)
    try:
        value, end = reading.value(reading.blank(0), (), 0)
        if reading.blank(end) < len(text):
            end = reading.blank(end)
            why = "something follows the document's end"
            raise reading.refused(end, "this is not valid JSON", why, reading.mending(end))
    except json.JSONDecodeError as error:
        raise reading.refused(error.pos, "this is not valid JSON", error.msg, reading.mending(error.pos)) from error
    return value, reading.lines


class _Reading:
    def __init__(self, text: str, path: Path) -> None:
        self.text, self.path = text, path
        self.lines: dict[Place, int] = {}
        self.ends = [match.start() for match in re.finditer("\n", text)]

    def blank(self, at: int) -> int:
        match = BLANK.match(self.text, at)
        return match.end() if match else at

    def value(self, at: int, place: Place, depth: int) -> tuple[Any, int]:
        self.lines.setdefault(place, self.line(at))
        if len(self.lines) > LARGEST:
            raise self.refused(at, f"the document holds more than {LARGEST} values")
        if depth > DEEPEST:
            raise self.refused(at, f"the document is nested more than {DEEPEST} levels deep")
        match self.text[at : at + 1]:
            case "{":
                return self.mapping(at, place, depth)
            case "[":
                return self.sequence(at, place, depth)
            case '"':
                return self.string(at)
        return self.scalar(at)

    def mapping(self, at: int, place: Place, depth: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        at = self.blank(at + 1)
        if self.text[at : at + 1] == "}":
            return found, at + 1
        while True:
            if self.text[at : at + 1] != '"':
                raise json.JSONDecodeError("a key in double quotes is expected", self.text, at)
            begin = at
            key, at = self.string(at)
            if key in found:
                raise self.refused(begin, f"the key {shown(key)} is here twice")
            self.lines[(*place, key)] = self.line(begin)
            at = self.expect(self.blank(at), ":")
            found[key], at = self.value(self.blank(at), (*place, key), depth + 1)
            at = self.blank(at)
            if self.text[at : at + 1] == "}":
                return found, at + 1
            at = self.blank(self.expect(at, ","))

    def sequence(self, at: int, place: Place, depth: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        at = self.blank(at + 1)
        if self.text[at : at + 1] == "]":
            return found, at + 1
        while True:
            item, at = self.value(at, (*place, len(found)), depth + 1)
            found.append(item)
            at = self.blank(at)
            if self.text[at : at + 1] == "]":
                return found, at + 1
            at = self.blank(self.expect(at, ","))

    def string(self, at: int) -> tuple[str, int]:
        # What the standard library's decoder reads texts with; its types do not tell of it.
        scan: Callable[[str, int], tuple[str, int]] = vars(json.decoder)["scanstring"]
        found, end = scan(self.text, at + 1)
        if any("\ud800" <= letter <= "\udfff" for letter in found):
            raise self.refused(at, "half of a surrogate pair is no text", "no file could hold what a run says of it")
        return found, end

    def scalar(self, at: int) -> tuple[Any, int]:
        for word, value in WORDS.items():
            if self.text.startswith(word, at):
                return value, at + len(word)
        if match := NOT_FINITE.match(self.text, at):
            raise self.refused(at, f"{shown(match[0])} is not a finite number")
        number = NUMBER.match(self.text, at)
        if not number:
            raise json.JSONDecodeError("a value is expected", self.text, at)
        if len(number[0]) > LONGEST_NUMBER:
            raise self.refused(at, f"{shown(number[0])} is a number of {len(number[0])} digits")
        if not (number[1] or number[2]):
            return int(number[0]), number.end()
        real = float(number[0])
        if not math.isfinite(real):
            raise self.refused(at, f"{shown(number[0])} is not a finite number")
        return real, number.end()

    def expect(self, at: int, sign: str) -> int:
        if self.text[at : at + 1] != sign:
            raise json.JSONDecodeError(f"'{sign}' is expected", self.text, at)
        return at + 1

    def line(self, at: int) -> int:
        return bisect.bisect_left(self.ends, at) + 1

    def mending(self, at: int) -> str:
        """Say what a person may have meant who wrote something else than JSON."""
        if self.text[at : at + 2] in ("//", "/*") or self.text[at : at + 1] == "#":
            return "JSON has no comments; a file that is called .yaml may have some, after '#'"
        if self.text[at : at + 1] in ("}", "]") and self.text[:at].rstrip().endswith(","):
            return "JSON has no comma after the last member"
        return "" if self.text.lstrip()[:1] in ("{", "[", "") else "call the file .yaml if it is YAML"

    def refused(self, at: int, what: str, why: str = "", hint: str = "") -> UsageError:
        return UsageError(what, where=f"{self.path}:{self.line(at)}", why=why, hint=hint)
