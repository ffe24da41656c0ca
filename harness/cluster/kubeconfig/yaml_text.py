"""Read YAML and JSON into plain values as Go does for kubectl."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

import yaml

from harness.source.json_text import DEEPEST
from harness.source.lines import Loader

# What Go's YAML takes for text: a plain date, a lone `=`, and numbers with colons, for which no other rule is asked.
_TEXT = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
_COLONS = ("tag:yaml.org,2002:str", re.compile("[^:]*:"))


class _Loader(Loader):  # type: ignore[misc]
    """YAML with Go's rules."""


_Loader.yaml_implicit_resolvers = {
    first: [_COLONS, *((tag, pattern) for tag, pattern in rules if tag not in _TEXT)]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def decoded(content: bytes) -> str:
    """Decode a file as kubectl does; raises UnicodeDecodeError."""
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if utf16 else "utf-8")


def read(text: str) -> tuple[Any, bool]:
    """Return the first YAML document of a text, and whether more follows, which kubectl does not read.

    What no YAML parser takes may be JSON, as surrogate pairs are. Raises ValueError where it is neither.
    """
    try:
        return _first(text)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        try:
            return json.loads(text), False
        except (ValueError, RecursionError):
            raise ValueError(brief(error)) from None


def brief(error: BaseException) -> str:
    """Say what is wrong about a text."""
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _first(text: str) -> tuple[Any, bool]:
    events, depth = yaml.parse(text, Loader=_Loader), 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        # The C parser would run out of stack, without a word.
        if depth > DEEPEST:
            raise RecursionError
        if isinstance(event, yaml.DocumentEndEvent):
            break
    value = next(yaml.load_all(text, Loader=_Loader), None)
    try:
        return value, isinstance(next(events, None), yaml.DocumentStartEvent)
    except yaml.YAMLError:
        return value, True
