"""Count what this process asks API servers for through the official client, and what of it may change something."""

from __future__ import annotations

from dataclasses import dataclass

LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Requests:
    """So many requests, and those of them that were not for looking only; none at all is false."""

    all: int = 0
    changes: int = 0

    def __bool__(self) -> bool:
        return self.all > 0


_made = Requests()


def note(method: str) -> None:
    """Count one request; what opens a stream into a container says `CONNECT`."""
    global _made
    _made = Requests(_made.all + 1, _made.changes + (method.upper() not in LOOKING))


def made() -> Requests:
    """Return what was asked for until now."""
    return _made


def since(before: Requests) -> Requests:
    """Return what was asked for since then; steps that run beside each other share what they ask."""
    return Requests(_made.all - before.all, _made.changes - before.changes)
