"""What a command does by its own words: where kubectl and its like act, and whether they change anything.

Their words are read in a shell's line, too, where they stand between other commands, in brackets or in quotes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

CLIENTS = frozenset({"kubectl", "oc"})
COMMANDS = CLIENTS | {"helm", "istioctl"}
# Every namespace there is.
EVERY = "*"
SIGNS = ";&|()`"
END = re.compile(f"[{re.escape(SIGNS)}]+|--")
ALL = ("-A", "--all-namespaces", "--all-namespaces=true")
# Words whose value is the next one.
VALUED = (
    "-n", "--namespace", "-l", "--selector", "--field-selector", "-o", "--output", "-f", "--filename", "-k",
    "--kustomize", "-c", "--container", "--context", "--kube-context", "--cluster", "--user", "--as", "--as-group",
    "--token", "-v", "--request-timeout", "--kubeconfig", "-s", "--server", "--kube-apiserver",
)  # fmt: skip
JOINED = re.compile(r"(?:--namespace=|-n=?)(.+)")
# A namespace that is itself what is acted on.
OBJECT = frozenset({"namespace", "namespaces", "ns", "project", "projects"})
OF_OBJECT = re.compile(rf"(?:{'|'.join(sorted(OBJECT))})/(.+)")
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
# What names a cluster without the context that a run is given.
ELSEWHERE = re.compile(r"(--kubeconfig|--server|--kube-apiserver)(=.*)?")
# What changes things that are there. What makes a pod to look from, as run and create do, is left to its document.
_CHANGING = (
    "delete", "scale", "drain", "cordon", "uncordon", "taint", "apply", "replace", "patch", "edit", "set", "label",
    "annotate", "autoscale",
)  # fmt: skip
CHANGING: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(CLIENTS, _CHANGING),
    "helm": ("install", "upgrade", "uninstall", "delete", "rollback"),
    "istioctl": ("install", "uninstall"),
}
# What is done with these says only the next word.
ADMINISTRATION, ROLLOUT = "adm", "rollout"
ROLLING = ("restart", "undo", "pause", "resume", "latest")
TRIED = re.compile(r"--dry-run(?!=none).*")

# One command by its words, itself the first.
Command = Sequence[str]


def namespaces(path: str, arguments: Any) -> list[str]:
    """Name the namespaces that a command is given, in their order; none where it takes that of its context."""
    return [name for command in _commands([path, *_words(arguments)]) for name in _namespaces(command)]


def change(path: str, arguments: Any) -> bool:
    """Say whether a command changes things that are there, as far as its own words tell."""
    return any(_changes(command) for command in _commands([path, *_words(arguments)]))


def elsewhere(path: str, arguments: Any) -> str:
    """Return the word by which a command names a cluster of its own; empty where it has none."""
    for command in _commands([path, *_words(arguments)]):
        for word in command:
            if found := ELSEWHERE.fullmatch(word):
                return found[1]
    return ""


def _namespaces(command: Command) -> Iterator[str]:
    for word, value in pairwise([*command, ""]):
        if word in ("-n", "--namespace"):
            yield value
        elif word in ALL:
            yield EVERY
        elif joined := JOINED.fullmatch(word):
            yield joined[1]
    if _name(command) not in CLIENTS:
        return
    verb, *things = [*_said(command), ""]
    if verb == "new-project" or (things and things[0] in OBJECT):
        names = things if verb == "new-project" else things[1:]
        yield from (name for name in names if NAME.fullmatch(name))
        if "--all" in command:
            yield EVERY
    yield from (found[1] for thing in things if (found := OF_OBJECT.fullmatch(thing)))


def _changes(command: Command) -> bool:
    if any(TRIED.fullmatch(word) for word in command):
        return False
    first, second, *_ = [*_said(command), "", ""]
    if first == ROLLOUT:
        return second in ROLLING
    return (second if first == ADMINISTRATION else first) in CHANGING[_name(command)]


def _name(command: Command) -> str:
    return command[0].rpartition("/")[2]


def _said(command: Command) -> list[str]:
    """Return a command's words without its flags and their values: what is done, and to what."""
    return [word for before, word in pairwise(command) if not word.startswith("-") and before not in VALUED]


def _commands(words: Sequence[str]) -> Iterator[Command]:
    """Find the commands of kubectl and its like in a line, each to its end; those in quotes are lines of their own."""
    command: list[str] = []
    around: list[tuple[str, list[str]]] = []  # what a bracket interrupts goes on behind it
    for word in words:
        if END.fullmatch(word):
            for sign in word:
                opens = sign == "(" or (sign == "`" and "`" not in [one for one, _ in around])
                if opens:
                    around.append((sign, command))
                elif command:
                    yield command
                command = around.pop()[1] if around and not opens and sign in ")`" else []
            continue
        if any(map(str.isspace, word)):
            yield from _commands(_split(word))
        if command or word.rpartition("/")[2] in COMMANDS:
            command.append(word)
    yield from (one for one in (*(one for _, one in around), command) if one)


def _words(arguments: Any) -> Iterator[str]:
    """Return the words that a process is given; what says nothing is left out, as Chaos Toolkit does."""
    match arguments:
        case str():
            yield from _split(arguments)
        case list():
            yield from (str(one) for one in arguments if one not in (None, ""))
        case dict():
            yield from (str(one) for pair in arguments.items() for one in pair if one not in (None, ""))


def _split(text: str) -> list[str]:
    words = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=SIGNS)
    words.whitespace_split, words.commenters = True, ""
    try:
        return list(words)
    except ValueError:  # a quote that is open to the end
        return text.split()
