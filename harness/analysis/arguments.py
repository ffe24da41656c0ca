"""Put a template's arguments in their places; one that nobody gives is refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.errors import UsageError
from harness.model import units
from harness.source.closed import Problems, Section, nearest
from harness.source.lines import Place

TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
PREFIX = "args."


def read(spec: Section, given: Mapping[str, str]) -> dict[str, str]:
    """Return every argument's value: what is given goes before what the template says.

    Problems are noted, not raised; raises UsageError for a given one that the template does not have.
    """
    found: dict[str, str] = {}
    for place, item in spec.items("args"):
        one = Section(spec.problems, item, place, "an argument", ("name", "value", "valueFrom"))
        name = one.get("name", units.text, "", required="values are told apart by it")
        if name in given:
            found[name] = given[name]
        elif "value" in one:
            found[name] = one.get("value", units.quoted, "")
        elif "valueFrom" in one:
            why = "a Secret, a field of the rollout or a hash of its pods is known to the cluster alone"
            spec.problems.add(one.at("valueFrom"), f"'{name}' has no value here", why=why, hint=_hint(name))
        elif name:
            spec.problems.add(place, f"'{name}' has no value", hint=_hint(name))
    named = [item.get("name") for _, item in spec.items("args") if isinstance(item, dict)]
    for name in given:
        if name not in named:
            hint = nearest(name, [str(one) for one in named])
            raise UsageError(f"the template has no argument '{name}'", where=str(spec.problems.source.path), hint=hint)
    return found


def _hint(name: str) -> str:
    return f"--arg {name}=VALUE"


def filled(value: Any, arguments: Mapping[str, str], problems: Problems, place: Place) -> Any:
    """Replace `{{args.NAME}}` in every text below a place; a name that is not known is a problem."""
    if isinstance(value, dict):
        return {key: filled(item, arguments, problems, (*place, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, arguments, problems, (*place, index)) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def put(match: re.Match[str]) -> str:
        tag = match[1].strip()
        name = tag.removeprefix(PREFIX)
        if name == tag or name not in arguments:
            known = [PREFIX + one for one in arguments]
            problems.add(place, f"'{{{{{tag}}}}}' stands for nothing", hint=nearest(tag, known))
        return arguments.get(name, "")

    return TAG.sub(put, value)
