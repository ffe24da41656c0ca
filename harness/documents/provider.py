"""Read how a step is called: its provider, its pauses, in the shapes that Chaos Toolkit takes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from harness.documents import translate
from harness.documents.variables import Variables
from harness.model import units
from harness.source.closed import MISSPELT, Problems, Section, nearest

# Where our faults are, as Chaos Toolkit calls them.
ACTIONS = "harness.chaostoolkit.actions"
PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "python": ("type", "module", "func", "arguments", "timeout", "secrets"),
    "process": ("type", "path", "arguments", "timeout", "secrets"),
    "http": (
        "type", "url", "method", "headers", "arguments", "timeout", "verify_tls", "max_retries", "secrets",
    ),
}  # fmt: skip
# What Chaos Toolkit takes as it stands.
LITERAL: Mapping[str, tuple[str, ...]] = {
    "python": ("module", "func"),
    "process": ("path",),
    "http": ("method", "verify_tls"),
}
NEEDED = {"python": ("module", "func"), "process": ("path",), "http": ("url",)}
# Chaos Toolkit takes a whole text that is one variable, and nothing in between.
VARIABLE = re.compile(r"\$\{.+\}")
LONGEST_PAUSE = 3600


def read_provider(problems: Problems, activity: Section, variables: Variables) -> dict[str, Any]:
    """Read an activity's provider; `deadline` in it is the activity's own limit, which no function knows."""
    value = activity.data.get("provider")
    place = activity.at("provider")
    if value is None:
        if activity.data:
            problems.add(activity.place, "an activity needs 'provider'", why="it says what to call")
        return {}
    kind = str(value.get("type")) if isinstance(value, dict) else "nothing"
    if kind not in PROVIDERS:
        hint = nearest(kind, PROVIDERS)
        problems.add(place, f"the provider's type is {kind}, not python, process or http", hint=hint)
        return {}
    section = Section(problems, value, place, f"a {kind} provider", PROVIDERS[kind])
    for key in NEEDED[kind]:
        section.get(key, units.text, "", required="it says what to call")
    provider = {key: item for key, item in section.data.items() if item is not None}
    _shapes(section, kind)
    _replaced(section, kind, variables)
    if kind == "http":
        _sendable(section, variables)
    if kind == "process":
        _here(section)
    if activity.data.get("timeout") is not None:
        provider.setdefault("timeout", activity.get("timeout", _seconds, 0.0))
    if kind == "python" and "timeout" in provider:
        # Chaos Toolkit knows no deadline of a function, so that one is ours.
        seconds = provider.pop("timeout")
        provider["deadline"] = float(seconds) if isinstance(seconds, int | float) else 0.0
    return provider


def _shapes(section: Section, kind: str) -> None:
    """Refuse shapes that Chaos Toolkit would stumble over in the middle of a run."""
    accepted: dict[str, tuple[type, ...]] = {
        "arguments": {"python": (dict,), "process": (dict, list, str), "http": (dict, list, str)}[kind],
        "headers": (dict,),
        "secrets": (list,),
        "timeout": (int, float, str, list) if kind == "http" else (int, float),
        "method": (str,),
        "verify_tls": (bool, str),
        "max_retries": (int,),
    }
    words = {
        dict: "a mapping",
        list: "a list",
        str: "a text",
        int: "a number",
        float: "a number",
        bool: "true or false",
    }
    for key, types in accepted.items():
        value = section.data.get(key)
        if value is None or (isinstance(value, types) and (bool in types or not isinstance(value, bool))):
            if key == "timeout" and value is not None and not _timed(value):
                section.problems.add(section.at(key), f"'timeout': {units.shown(value)} is not a number of seconds")
            continue
        known = " or ".join(dict.fromkeys(words[one] for one in types))
        section.problems.add(section.at(key), f"'{key}' must be {known}, not {units.shown(value)}")


def _replaced(section: Section, kind: str, variables: Variables) -> None:
    """Refuse a variable where Chaos Toolkit replaces none, and one that is nearly called like another."""
    for key in LITERAL[kind]:
        value = section.data.get(key)
        if isinstance(value, str) and "${" in value:
            section.problems.add(
                section.at(key),
                f"no variable is replaced in '{key}'",
                why="Chaos Toolkit would take the words as they stand",
                hint="write it out",
            )
    # Any other may be a shell's.
    for name in variables.undefined(section.data.get("arguments")):
        if near := difflib.get_close_matches(name, variables.names, n=1, cutoff=MISSPELT):
            section.problems.add(
                section.at("arguments"), f"nothing is called '{name}'", hint=f"did you mean '{near[0]}'?"
            )


def _sendable(section: Section, variables: Variables) -> None:
    """Refuse a request that the client would refuse to send, in the middle of a run."""
    url, headers = section.data.get("url"), section.data.get("headers")
    if isinstance(url, str) and (undefined := variables.undefined(url)):
        section.problems.add(
            section.at("url"),
            f"nothing is called '{undefined[0]}'",
            why="Chaos Toolkit would ask for the words as they stand",
            hint=nearest(undefined[0], variables.names),
        )
    elif isinstance(url, str) and not _is_url(variables.known(url)):
        section.problems.add(
            section.at("url"), f"{units.shown(url)} is not the URL of a server", hint="http://HOST:PORT/PATH"
        )
    for name, value in headers.items() if isinstance(headers, dict) else ():
        if not isinstance(variables.known(value), str | None):
            section.problems.add(
                (*section.at("headers"), name),
                f"the header '{name}' must be a text",
                why="a number, or true, is refused by what sends it",
                hint="quote it",
            )


def _here(section: Section) -> None:
    """Refuse a command that would leave the run's cluster by a word of its own."""
    if word := translate.elsewhere(str(section.data.get("path")), section.data.get("arguments")):
        section.problems.add(
            section.at("arguments"),
            f"'{word}' names a cluster of its own",
            why="a run acts on one cluster, and whatever it calls is handed that one",
            hint="leave it out, and name the cluster by --context",
        )


def _is_url(value: Any) -> bool:
    """Say whether a value may be asked for; what is not known yet may."""
    if value is None:
        return True
    try:
        parts = urlsplit(value)
    except (ValueError, AttributeError):
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _seconds(value: Any) -> float:
    found = units.number(value)
    if found < 0:
        raise ValueError(f"{units.shown(value)} is not a number of seconds")
    return found


def _timed(value: Any) -> bool:
    """Say whether a limit is one: seconds, or those to connect and those to be answered."""
    if isinstance(value, list):
        return len(value) == 2 and all(one is None or (not isinstance(one, list) and _timed(one)) for one in value)
    if isinstance(value, str):
        return bool(VARIABLE.fullmatch(value))
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def pauses(section: Section, variables: Variables, *, known: bool) -> tuple[float, float]:
    """Read the pauses in seconds; one that only the run can tell is 0 here, and a problem where it must be `known`."""
    if section.data.get("pauses") is None:
        return 0.0, 0.0
    inside = Section(section.problems, section.data["pauses"], section.at("pauses"), "pauses", ("before", "after"))

    def read(value: Any) -> float:
        if value is None:
            return 0.0
        if isinstance(value, str) and VARIABLE.fullmatch(value):
            try:
                value = variables.fill(value)
            except ValueError:
                if known:
                    raise
                return 0.0
        seconds = units.number(value)
        if not 0 <= seconds <= LONGEST_PAUSE:
            raise ValueError(f"{units.shown(value)} is not between 0 and {LONGEST_PAUSE} seconds")
        return seconds

    # Chaos Toolkit writes pauses as bare seconds.
    return inside.get("before", read, 0.0), inside.get("after", read, 0.0)
