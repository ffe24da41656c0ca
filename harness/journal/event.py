"""One line of the journal as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 1
FILE = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened: `seq` counts from 1, `wall` is epoch seconds, `t` seconds since the run began."""

    seq: int
    wall: float
    t: float
    phase: str
    type: str
    data: Mapping[str, Any] = field(default_factory=dict)
