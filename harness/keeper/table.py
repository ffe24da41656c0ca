"""Read the table of commands by which nodes of another cluster are stopped, frozen and entered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.model.units import shown
from harness.source import lines
from harness.source.closed import Problems, Section

KEYS = ("context", "nodes", "commands", "states")
# What undoes what: neither is taken without the other.
UNDONE = {"stop": "start", "pause": "unpause"}
COMMANDS = ("state", *UNDONE, *UNDONE.values(), "exec")
NODE, COMMAND = "{node}", "{command}"
STATES = ("running", "paused", "stopped")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")


@dataclass(frozen=True, slots=True)
class Table:
    """The nodes of one context by the names that commands know them by, and the words of each command.

    `states` says which of the three states is meant by what the command `state` prints.
    """

    context: str
    nodes: Mapping[str, str]
    commands: Mapping[str, tuple[str, ...]]
    states: Mapping[str, str]


def read(path: Path) -> Table:
    """Read a table; raises UsageError with all that is wrong, each with its line."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("the table of commands cannot be read", where=str(path), why=str(error)) from error
    source = lines.read(text, path)
    problems = Problems(source)
    section = Section(problems, source.data, (), "a table of commands", KEYS)
    found = Table(
        context=section.get("context", _name, "", required="nodes of two clusters may have the same names"),
        nodes=section.get("nodes", _names, {}, required="no other node is touched: {worker-1: vm-17}"),
        commands=_commands(section),
        states=section.get("states", _states, {state: state for state in STATES}),
    )
    problems.refuse()
    return found


def _commands(table: Section) -> Mapping[str, tuple[str, ...]]:
    if "commands" not in table:
        table.get("commands", dict, {}, required="they are what is done to nodes")
        return {}
    section = Section(table.problems, table.data["commands"], table.at("commands"), "the commands", COMMANDS)
    nothing: tuple[str, ...] = ()
    found = {name: section.get(name, _words, nothing) for name in COMMANDS if name in section}
    for name, words in found.items():
        needed = [NODE, *([COMMAND] if name == "exec" else [])]
        if words and (lacking := [one for one in needed if not any(one in word for word in words)]):
            table.problems.add(section.at(name), f"'{name}' says nowhere {' and '.join(lacking)}")
    if section.data and "state" not in found:
        why = "nothing is taken for done, or for undone, that was not looked at"
        table.problems.add(section.place, "the commands need 'state'", why=why)
    for does, undoes in UNDONE.items():
        if does in found and undoes not in found:
            table.problems.add(section.at(does), f"'{does}' needs '{undoes}'", why="it would not be undone")
    return found


def _name(value: Any) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError(f"{shown(value)} is no name")
    return value


def _names(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{shown(value)} is no mapping of nodes to names")
    return {_name(node): _name(name) for node, name in value.items()}


def _states(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(word, str) for word in value):
        raise ValueError(f"{shown(value)} is no mapping of what is printed to states")
    if other := [state for state in value.values() if state not in STATES]:
        raise ValueError(f"{shown(other[0])} is none of {', '.join(STATES)}")
    return {word.strip().lower(): state for word, state in value.items()}


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(word, str) and word for word in value):
        raise ValueError(f"{shown(value)} is no list of words, the program first")
    return tuple(value)
