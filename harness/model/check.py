"""One thing that was looked at, and whether it is well."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor: what was looked at, whether it is well, and what mends it.

    A warning keeps nobody from running.
    """

    group: str
    name: str
    ok: bool
    said: str = ""
    hint: str = ""
    warning: bool = False
