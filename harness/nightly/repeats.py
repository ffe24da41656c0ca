"""Count the verdicts of experiments that ran several times: how many as declared, and how often one flipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.model.verdict import Verdict
from harness.nightly.interval import Interval, wilson

# What stands in a verdict's place where an error kept a run from having one.
NONE = "no verdict"
HEADER = ("experiment", "runs", "verdicts", "as declared", "flip rate", "95 % interval")
_ORDER = (Verdict.PASS, *(verdict for verdict in Verdict if verdict is not Verdict.PASS), NONE)


@dataclass(frozen=True, slots=True)
class Tally:
    """One experiment's verdicts, counted."""

    experiment: str
    verdicts: Mapping[str, int]
    right: int

    @property
    def runs(self) -> int:
        """Return the number of runs."""
        return sum(self.verdicts.values())

    @property
    def flips(self) -> int:
        """Count the runs that did not end as most did: a verdict that is always wrong never flips."""
        return self.runs - max(self.verdicts.values(), default=0)

    @property
    def interval(self) -> Interval:
        """Return the interval of the flip rate."""
        return wilson(self.flips, self.runs)


def count(runs: Iterable[tuple[str, str, bool]]) -> list[Tally]:
    """Count runs, each an experiment, its verdict and whether that was declared; experiments in order of appearance."""
    verdicts: dict[str, Counter[str]] = {}
    right: Counter[str] = Counter()
    for experiment, verdict, declared in runs:
        verdicts.setdefault(experiment, Counter())[str(verdict)] += 1
        right[experiment] += declared
    return [Tally(name, found, right[name]) for name, found in verdicts.items()]


def rows(tallies: Sequence[Tally]) -> list[tuple[str, ...]]:
    """Return each tally, and the whole set, as cells under HEADER."""
    found = [
        _row(one.experiment, one.runs, spelled(one.verdicts), one.right, one.flips, one.interval) for one in tallies
    ]
    whole: Counter[str] = Counter()
    for one in tallies:
        whole.update(one.verdicts)
    runs, flips = sum(whole.values()), sum(one.flips for one in tallies)
    right = sum(one.right for one in tallies)
    return [*found, _row("all", runs, spelled(whole), right, flips, wilson(flips, runs))]


def table(tallies: Sequence[Tally]) -> list[str]:
    """Line the tallies up for a terminal."""
    cells = [HEADER, *rows(tallies)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADER))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def spelled(verdicts: Mapping[str, int]) -> str:
    """Write counted verdicts, PASS first and then the worst."""
    return ", ".join(f"{verdicts[name]} {name}" for name in map(str, _ORDER) if verdicts.get(name)) or "-"


def _row(name: str, runs: int, said: str, right: int, flips: int, interval: Interval) -> tuple[str, ...]:
    rate = percent(flips / runs) if runs else "-"
    return name, str(runs), said, f"{right} of {runs}", rate, between(interval)


def between(interval: Interval) -> str:
    """Write an interval of shares."""
    return f"{100 * interval[0]:.1f} to {percent(interval[1])}"


def percent(share: float) -> str:
    """Write a share with one decimal."""
    return f"{100 * share:.1f} %"
