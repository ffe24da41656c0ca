"""Read a Litmus pod-delete as an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.documents.imports.wanted import Wanted
from harness.source.closed import Problems


def means(data: Mapping[str, Any]) -> bool:
    """Say whether an object is one of Litmus'."""
    return str(data.get("apiVersion", "")).startswith("litmuschaos.io/")


def read(
    problems: Problems, data: Mapping[str, Any], wanted: Wanted, beside: Sequence[Mapping[str, Any]]
) -> list[tuple[str, Mapping[str, Any], list[str]]]:
    """Return nothing yet."""
    return []
