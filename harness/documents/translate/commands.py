"""Where a command acts by its own words: the namespaces that kubectl and its like are given, in a shell's line, too."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

COMMANDS = frozenset({"kubectl", "oc", "helm", "istioctl"})
# Every namespace there is.
EVERY = "*"
# What follows belongs to another command.
END = re.compile(r"[;&|]+|--")
ALL = ("-A", "--all-namespaces", "--all-namespaces=true")
JOINED = re.compile(r"(?:--namespace=|-n=?)(.+)")


def namespaces(path: str, arguments: Any) -> list[str]:
    """Name the namespaces that a command is given, in their order; none where it takes that of its context."""
    found: list[str] = []
    inside = awaited = False
    for word in (path, *_words(arguments)):
        if awaited:
            found.append(word)
            awaited = False
        elif END.fullmatch(word):
            inside = False
        elif word.rpartition("/")[2] in COMMANDS:
            inside = True
        elif inside and word in ("-n", "--namespace"):
            awaited = True
        elif inside and word in ALL:
            found.append(EVERY)
        elif inside and (joined := JOINED.fullmatch(word)):
            found.append(joined[1])
    return found


def _words(arguments: Any) -> Iterator[str]:
    match arguments:
        case str():
            for word in _split(arguments):
                # What a shell is told to do stands in one word of its line.
                yield from _split(word) if any(map(str.isspace, word)) else (word,)
        case list():
            for one in arguments:
                yield from _words(one) if any(map(str.isspace, str(one))) else (str(one),)
        case dict():
            for key, value in arguments.items():
                yield from (str(key), str(value))


def _split(text: str) -> list[str]:
    words = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=";&|")
    words.whitespace_split, words.commenters = True, ""
    try:
        return list(words)
    except ValueError:  # a quote that is open to the end
        return text.split()
