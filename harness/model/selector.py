"""Read a selector as kubectl writes it into the terms that Kubernetes compares with: for what its API cannot select."""

from __future__ import annotations

import re
from typing import Any

KEY = r"[\w./-]+"
EXISTS = re.compile(rf"(!\s*)?({KEY})", re.ASCII)
EQUALS = re.compile(rf"({KEY})\s*(==|=|!=)\s*([\w.-]*)", re.ASCII)
AMONG = re.compile(rf"({KEY})\s+(in|notin)\s*\(\s*([\w.-]+(?:\s*,\s*[\w.-]+)*)\s*\)", re.ASCII)
COMMA = re.compile(r",(?![^(]*\))")


def parse(text: str) -> list[dict[str, Any]]:
    """Return the terms of a selector, all of which must be met; raises ValueError for what is none."""
    return [_term(part.strip()) for part in COMMA.split(text)]


def _term(text: str) -> dict[str, Any]:
    if found := EXISTS.fullmatch(text):
        return {"key": found[2], "operator": "DoesNotExist" if found[1] else "Exists"}
    if found := EQUALS.fullmatch(text):
        return {"key": found[1], "operator": "NotIn" if found[2] == "!=" else "In", "values": [found[3]]}
    if found := AMONG.fullmatch(text):
        values = [value.strip() for value in found[3].split(",")]
        return {"key": found[1], "operator": "NotIn" if found[2] == "notin" else "In", "values": values}
    raise ValueError(f"{text!r} is not a term of a selector, like key=value, key in (a, b) or !key")
