"""Take what a file holds for the shape that it should have: a foreign file may hold anything anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping as it is, and an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


def name(data: Mapping[str, Any]) -> str:
    """Return the name of an object; empty where it has none."""
    return str(mapping(data.get("metadata")).get("name") or "")
