"""Read controls: what Chaos Toolkit calls before and after a whole experiment and each of its parts."""

from __future__ import annotations

from typing import Any

from harness.model import units
from harness.source.closed import Problems, Section, nearest
from harness.source.lines import Place

CONTROLS = "harness.chaostoolkit.controls"
KEYS = ("name", "ref", "provider", "scope", "automatic")
PROVIDER = ("type", "module", "arguments", "secrets")
SCOPES = ("before", "after")


def read(problems: Problems, listed: list[tuple[Place, Any]]) -> tuple[tuple[str, Place], ...]:
    """Read a list of controls; return those that are not ours, each as words for a plan with its place."""
    found, names = [], set[str]()
    for place, value in listed:
        section = Section(problems, value, place, "a control", KEYS)
        if not section.data:
            continue
        name = section.get("name", units.text, "", required="a control is told apart by its name")
        if name and name in names:
            why = "Chaos Toolkit sets up the first alone"
            problems.add(section.at("name"), f"two controls are named '{name}'", why=why, hint="give each its own name")
        names.add(name)
        scope = section.data.get("scope")
        if scope is not None and scope not in SCOPES:
            problems.add(section.at("scope"), f"{units.shown(scope)} is no scope", hint="before, after, or neither")
        section.get("automatic", units.boolean, True)
        if "ref" in section and "provider" not in section:
            problems.add(
                section.at("ref"),
                "a control needs 'provider'",
                why="Chaos Toolkit refuses one that only refers to another",
                hint="write the control out, or put it at the top, where it goes for every step",
            )
            continue
        module = _module(problems, section)
        if module and module != CONTROLS:
            found.append((f"control {name!r}, by module {module}", place))
    return tuple(found)


def _module(problems: Problems, control: Section) -> str:
    value = control.data.get("provider")
    kind = value.get("type") if isinstance(value, dict) else None
    if kind != "python":
        problems.add(
            control.at("provider") if value is not None else control.place,
            f"a control's provider is of type python, not {units.shown(kind)}",
            why="Chaos Toolkit calls no other",
            hint=nearest(str(kind), ("python",)) if isinstance(kind, str) else "provider: {type: python, module: ...}",
        )
        return ""
    section = Section(problems, value, control.at("provider"), "a control's provider", PROVIDER)
    return section.get("module", units.text, "", required="it says whom to call")


def ours(control: Any) -> bool:
    """Say whether a control is the one that brings our engine to `chaos run`."""
    provider = control.get("provider") if isinstance(control, dict) else None
    return isinstance(provider, dict) and provider.get("module") == CONTROLS
