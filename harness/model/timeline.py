"""What a method does when: which steps may be broken together, and from when to when at the earliest.

A step that has a duration, or is done several times, is over before the next one begins, unless it runs in the
background: then it may overlap with every later one. Without a duration a fault lasts until the method is over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.model.experiment import Activity, Choice
from harness.model.fault import FaultSpec


@dataclass(frozen=True, slots=True)
class Span:
    """One step in time, in seconds since the method began, at the earliest; without an `end` it lasts to its end."""

    activity: Activity
    start: float
    end: float | None

    @property
    def fault(self) -> FaultSpec | None:
        """Return what is broken in it."""
        return self.activity.fault


def spans(method: Iterable[Activity], groups: Mapping[str, int] | None = None) -> tuple[list[Span], float]:
    """Return the steps in time, and when the method is over; a foreign step takes no time that is known.

    `groups` says of a fault, by its own name, in how many groups its targets are broken: two steps may have one name.
    """
    found, clock, over = [], 0.0, 0.0
    for activity in method:
        start = clock + activity.pause_before
        lasts = activity.fault.seconds((groups or {}).get(activity.fault.activity, 1)) if activity.fault else 0.0
        end = start + lasts
        found.append(Span(activity, start, end if activity.fault is None or activity.fault.closes else None))
        over = max(over, end + activity.pause_after)
        clock = clock if activity.background else end + activity.pause_after
    return found, over


def longest(steps: Iterable[Activity]) -> float:
    """Return how long steps take at the most, in seconds: without end where one does not say when it is over."""
    return sum(one.pause_before + _longest(one) + one.pause_after for one in steps)


def _longest(step: Activity) -> float:
    known = not (step.fault or step.heals or step.background)
    limits = [limit for limit in (_waits(step), step.deadline) if limit]
    return min(limits) if limits and known else math.inf


def _waits(step: Activity) -> float:
    """Return for how long a probe of ours looks at the most, by its own arguments; 0 where it does not say."""
    arguments = step.provider.get("arguments")
    if not str(step.provider.get("module", "")).startswith(("probes.", "harness.probes.")):
        return 0.0
    said = arguments if isinstance(arguments, Mapping) else {}
    # One that waits for an answer may look for so many seconds more whether it stays.
    wait, more = (float(one) if isinstance(one := said.get(key), int | float) else 0.0 for key in ("wait", "seconds"))
    return wait and wait + more


def over_before_next(earlier: Activity) -> bool:
    """Say whether what a step broke is healed before a later one begins."""
    return bool(earlier.fault and earlier.fault.closes and not earlier.background)


def together(method: Sequence[Activity]) -> list[frozenset[str]]:
    """Return, for each fault as it begins, the names of all that may be broken then, itself among them."""
    steps = [activity for activity in method if activity.fault]
    return [
        frozenset(
            one.fault.activity
            for place, one in enumerate(steps[: number + 1])
            if one.fault and (place == number or not over_before_next(one))
        )
        for number in range(len(steps))
    ]


def composed(method: Sequence[Activity], choices: Sequence[Choice]) -> bool:
    """Say whether a method is more than one fault that lasts until its end."""
    steps = [activity for activity in method if activity.fault]
    return len(steps) > 1 or bool(choices) or any(one.fault and one.fault.closes for one in steps)
