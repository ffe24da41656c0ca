"""What a run promises: objectives by checker name, each with its own numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Objective:
    """One promise: the checker that judges it and its parameters (ratios 0..1, durations in seconds)."""

    checker: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""


ABORT_WHEN = "abort-when"
"""The document's key, the trigger of the abort that it asks for, and the name of what is found then."""


@dataclass(frozen=True, slots=True)
class AbortWhen:
    """Cut the run short when availability stays below a ratio for a time."""

    availability_below: float
    for_seconds: float
