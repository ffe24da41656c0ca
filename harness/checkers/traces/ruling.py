"""What a judge says of one property: held, broken with the one thing that proves it, or unknown and why."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.checkers.traces.calls import Attempt, Call
from harness.model.verdict import State

ENOUGH = 10
"""So many chances without a breach: one that happens every third time would have shown itself (rule of three)."""
CERTAIN = 0.001
"""What is less likely than this did not happen by chance."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """The answer to one property; `needed` is how many more calls of the kind that `why` names would have told."""

    state: State
    why: str
    proof: Attempt | Call | None = None
    needed: int = 0


def held(why: str) -> Ruling:
    """Say that a property was put to the test and kept."""
    return Ruling(State.HELD, why)


def broken(why: str, proof: Attempt | Call) -> Ruling:
    """Say that a property was broken, and by what."""
    return Ruling(State.BROKEN, why, proof)


def unknown(why: str, needed: int = 1) -> Ruling:
    """Say that a property was not put to the test, and how many calls would have done so."""
    return Ruling(State.UNKNOWN, why, needed=needed)


def draws(chance: float) -> int:
    """Return how often something of this chance must be drawn until never having met it is no chance any more."""
    if chance >= 1.0:
        return 1
    return math.ceil(math.log(CERTAIN) / math.log1p(-chance))
