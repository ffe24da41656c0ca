"""Fold findings into one verdict, worst first."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import Exit


class Verdict(enum.StrEnum):
    """What a run is worth, worst first: DIRTY, DEVIATED, ABORTED, INCONCLUSIVE, PASS."""

    DIRTY = "DIRTY"
    DEVIATED = "DEVIATED"
    ABORTED = "ABORTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    PASS = "PASS"  # noqa: S105

    @property
    def exit(self) -> Exit:
        """Return the exit code of a run with this verdict."""
        return Exit[self.name]


class State(enum.StrEnum):
    """What one checker says of one objective; NOTED is a fact beside the promises, and decides nothing."""

    HELD = "held"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    NOTED = "noted"


@dataclass(frozen=True, slots=True)
class Finding:
    """One checker's answer: the promise, what was seen before, during and after, and why."""

    checker: str
    state: State
    summary: str
    target: str = ""
    baseline: str = ""
    in_fault: str = ""
    recovery: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


WORST_FIRST = (
    Exit.DIRTY,
    Exit.INTERNAL,
    Exit.INTERRUPTED,
    Exit.USAGE,
    Exit.DEVIATED,
    Exit.ABORTED,
    Exit.INCONCLUSIVE,
    Exit.NOTHING_RAN,
    Exit.PASS,
)


def fold(findings: Iterable[Finding], *, undone: bool, aborted: bool) -> Verdict:
    """Return the verdict of a run; no finding at all is never a pass."""
    states = [finding.state for finding in findings if finding.state is not State.NOTED]
    if not undone:
        return Verdict.DIRTY
    if State.BROKEN in states:
        return Verdict.DEVIATED
    if aborted:
        return Verdict.ABORTED
    if State.UNKNOWN in states or not states:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of several runs; nothing at all is NOTHING_RAN."""
    seen = set(codes)
    return int(next((code for code in WORST_FIRST if code in seen), Exit.NOTHING_RAN))
