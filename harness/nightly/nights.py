"""Fold records into nights, the runs of each experiment together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.nightly import interval
from harness.nightly.code import Code
from harness.nightly.record import Record

# So many nights back flips and comparisons look: what was long ago says little about the system of today.
WINDOW = 60


@dataclass(frozen=True, slots=True)
class Tried:
    """One experiment in one night: its runs in order."""

    runs: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """Return the first run."""
        return self.runs[0]

    @property
    def last(self) -> Record:
        """Return the run that counts: the last."""
        return self.runs[-1]

    @property
    def flipped(self) -> bool:
        """Say whether it was as declared only when asked again."""
        return self.last.right and not self.first.right

    @property
    def wrong_twice(self) -> bool:
        """Say whether two runs judged the system, and none of them was as declared."""
        judged = [one for one in self.runs if one.judged]
        return len(judged) > 1 and not any(one.right for one in judged)


@dataclass(frozen=True, slots=True)
class Night:
    """One night: its experiments in the order of their first runs."""

    name: str
    tried: Mapping[str, Tried]

    @property
    def started(self) -> float:
        """Return the start of the first run in epoch seconds."""
        return min(one.first.started for one in self.tried.values())

    @property
    def seconds(self) -> float:
        """Add up what all runs took."""
        return sum(run.seconds for one in self.tried.values() for run in one.runs)

    @property
    def code(self) -> Code:
        """Return the code that was judged last."""
        return max((one.last for one in self.tried.values()), key=lambda run: run.started).code

    @property
    def right(self) -> int:
        """Count the experiments that ended as declared."""
        return sum(one.last.right for one in self.tried.values())


def fold(records: Iterable[Record]) -> list[Night]:
    """Return the nights, oldest first."""
    found: dict[str, dict[str, list[Record]]] = {}
    for one in records:
        found.setdefault(one.night, {}).setdefault(one.experiment, []).append(one)
    nights = [
        Night(name, {experiment: Tried(tuple(runs)) for experiment, runs in tried.items()})
        for name, tried in found.items()
    ]
    return sorted(nights, key=lambda night: night.started)


def until(records: Iterable[Record], name: str | None) -> list[Night]:
    """Return the nights up to a named one, the last when none is named, without those of other clusters.

    Empty when there is no such night.
    """
    records = list(records)
    nights = fold(records)
    last = next((night for night in reversed(nights) if name is None or night.name == name), None)
    if last is None:
        return []
    context = next(iter(last.tried.values())).last.context
    earlier = fold(one for one in records if one.context == context and one.night != last.name)
    return [*(night for night in earlier if night.started < last.started), last]


def flips(experiment: str, nights: Sequence[Night]) -> list[bool]:
    """Say for each of the last nights that had the experiment whether it flipped."""
    return [night.tried[experiment].flipped for night in nights if experiment in night.tried][-WINDOW:]


def too_often(experiment: str, nights: Sequence[Night]) -> bool:
    """Say whether the last night's flip is one too many: the flip rate is above the allowed one, beyond chance."""
    seen = flips(experiment, nights)
    return bool(seen) and seen[-1] and interval.suspicion(seen) >= interval.ALARM
