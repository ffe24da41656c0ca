"""Objects as the API server sends them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]


def by_name(objects: Iterable[Json]) -> dict[str, Json]:
    """Index objects by their name."""
    return {item["metadata"]["name"]: item for item in objects}
