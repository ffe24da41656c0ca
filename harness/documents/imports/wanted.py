"""What the one who imports says, where the file that is imported leaves it open."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which namespaces may be touched, which pods an engine means that names none, and how many of them at the most.

    A count of 0 leaves that open.
    """

    namespaces: tuple[str, ...] = ()
    selector: str = ""
    pods: int = 0
