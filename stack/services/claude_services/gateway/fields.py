"""Read resources closed: a field that is not understood is refused, never ignored."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from claude_services.json_objects import Json


class Refused(Exception):
    """A resource says something this control plane cannot do."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where, self.why = where, why


def only(value: Any, where: str, *known: str) -> Json:
    """Return `value` as an object whose keys are all known."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Refused(where, f"is not an object: {value!r}")
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise Refused(f"{where}.{key}", "unknown field" + (f", did you mean {near[0]}?" if near else ""))
    return dict(value)


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds(text: Any, where: str) -> float:
    """Read a duration such as 10s, 1500ms or 1m30s."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", str(text))
    if not parts or "".join(number + unit for number, unit in parts) != str(text):
        raise Refused(where, f"is not a duration: {text!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def duration(text: Any, where: str) -> str:
    """Return a duration as Envoy writes it."""
    return f"{seconds(text, where):.9g}s"
