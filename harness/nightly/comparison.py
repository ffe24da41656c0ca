"""Compare tonight with earlier nights: what differs beyond chance, with its interval, and what cannot be told.

Every run that judged the system counts, of a flip the second alone: flips have a rate of their own. What recovered
later or sooner is asked of all experiments at once, so its confidence is shared out among them: one night in twenty
names any by chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from harness.errors import UsageError
from harness.model.units import seconds
from harness.nightly import interval, shift
from harness.nightly.interval import Interval
from harness.nightly.nights import WINDOW, Night
from harness.nightly.record import Record
from harness.nightly.state import State
from harness.source.closed import nearest

SAME, GREEN, CODE = "same", "green", "code"
# What tonight is compared with when nothing is named.
USUAL = (GREEN, CODE, SAME)
TITLES = {
    SAME: "earlier nights on the same code",
    GREEN: "the last night it was right",
    CODE: "the nights before this code",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """One experiment after and before a reference: how many of its judged runs were right, and its recovery times."""

    experiment: str
    reference: str
    night: str
    right: int
    runs: int
    right_before: int
    runs_before: int
    times: tuple[float, ...]
    times_before: tuple[float, ...]
    shift: Interval | None

    @property
    def change(self) -> Interval:
        """Return the interval of the change in the share that is as declared."""
        return interval.difference(self.right, self.runs, self.right_before, self.runs_before)

    @property
    def worse(self) -> bool:
        """Say whether it is less often as declared, beyond chance."""
        return self.change[1] < 0

    @property
    def better(self) -> bool:
        """Say whether it is more often as declared, beyond chance."""
        return self.change[0] > 0

    @property
    def moved(self) -> bool:
        """Say whether it recovers later or sooner, beyond chance."""
        return self.shift is not None and not self.shift[0] <= 0 <= self.shift[1]

    @property
    def told(self) -> bool:
        """Say whether anything differs beyond chance."""
        return self.worse or self.better or self.moved


def references(since: str | None, nights: Sequence[Night]) -> tuple[str, ...]:
    """Return what tonight is compared with; a night is named by its name or the start of it, the latest such.

    Raises UsageError for a night that the history does not have.
    """
    if since is None or since in USUAL:
        return USUAL if since is None else (since,)
    names = [night.name for night in nights]
    if found := [name for name in names if name.startswith(since)]:
        return (found[-1],)
    why = f"it has {', '.join(names[-5:])}" if names else "it has none"
    raise UsageError(f"the history has no night {since!r}", why=why, hint=nearest(since, (*USUAL, *names)))


def compare(experiment: str, reference: str, nights: Sequence[Night], *, among: int = 1) -> Compared | None:
    """Compare the last of the nights with a reference; None when there is nothing before it.

    `among` is how many experiments the question about recovery is asked of.
    """
    before, after = _split(experiment, reference, nights)
    if not before or not after:
        return None
    runs, runs_before = _judged(after, experiment), _judged(before, experiment)
    times, times_before = _times(runs), _times(runs_before)
    confidence = 1 - (1 - interval.CONFIDENCE) / max(1, among)
    return Compared(
        experiment,
        reference,
        before[-1].name,
        sum(one.right for one in runs),
        len(runs),
        sum(one.right for one in runs_before),
        len(runs_before),
        times,
        times_before,
        shift.between(times, times_before, confidence),
    )


def state(experiment: str, nights: Sequence[Night]) -> State:
    """Return what an experiment came to in the last of the nights."""
    tried = nights[-1].tried[experiment]
    if tried.flipped:
        return State.FLIP
    if tried.last.right:
        return State.RIGHT
    if not tried.last.judged:
        return State.UNPROVEN
    if tried.wrong_twice and (found := compare(experiment, GREEN, nights)) and found.worse:
        return State.REGRESSION
    return State.WRONG


def verdicts(found: Compared) -> str:
    """Say what became of the share that is as declared."""
    low, high = found.change
    counts = f"as declared in {found.right} of {found.runs} runs, before in {found.right_before} of {found.runs_before}"
    if found.worse:
        return f"{counts}: {_points(-high)} to {_points(-low)} points less often (95 %)"
    if found.better:
        return f"{counts}: {_points(low)} to {_points(high)} points more often (95 %)"
    return f"{counts}: cannot be told from chance ({100 * low:+.0f} to {100 * high:+.0f} points, 95 %)"


def recovery(found: Compared) -> str:
    """Say what became of the recovery times; empty when there are none on one side."""
    if not found.times or not found.times_before:
        return ""
    medians = (
        f"recovery {seconds(median(found.times))} (median of {len(found.times)}),"
        f" before {seconds(median(found.times_before))} (of {len(found.times_before)})"
    )
    if found.shift is None:
        return f"{medians}: too few to tell"
    low, high = found.shift
    if not found.moved:
        return f"{medians}: no difference told ({low:+.1f} to {high:+.1f} s)"
    how = "later" if low > 0 else "sooner"
    small, large = sorted((abs(low), abs(high)))
    return f"{medians}: {seconds(small)} to {seconds(large)} {how}"


def title(reference: str) -> str:
    """Name a reference."""
    return TITLES.get(reference, f"night {reference}")


def _split(experiment: str, reference: str, nights: Sequence[Night]) -> tuple[list[Night], list[Night]]:
    """Return the nights before and after a reference that had the experiment, tonight at the end of the latter."""
    had = [night for night in nights if experiment in night.tried][-WINDOW - 1 :]
    if not had or had[-1] is not nights[-1]:
        return [], []
    earlier, tonight = had[:-1], had[-1]
    same = [_code(night, experiment) == _code(tonight, experiment) for night in earlier]
    if reference == SAME:
        return [night for night, equal in zip(earlier, same, strict=True) if equal], [tonight]
    if reference == GREEN:
        end = _last([night.tried[experiment].last.right for night in earlier])
    elif reference == CODE:
        end = _last([not equal for equal in same])
    else:
        names = [night.name for night in nights]
        known = set(names[: names.index(reference) + 1]) if reference in names[:-1] else set()
        end = sum(night.name in known for night in earlier)
    return earlier[:end], had[end:]


def _last(true: Sequence[bool]) -> int:
    """Return how many there are up to the last that is true."""
    return max((number for number, found in enumerate(true, 1) if found), default=0)


def _code(night: Night, experiment: str) -> tuple[object, str]:
    last = night.tried[experiment].last
    return last.code, last.document


def _judged(nights: Iterable[Night], experiment: str) -> list[Record]:
    found: list[Record] = []
    for night in nights:
        tried = night.tried[experiment]
        # A second run is made only after a wrong one: to count both of a flip would count it as half a regression.
        found += [tried.last] if tried.flipped else [one for one in tried.runs if one.judged]
    return found


def _times(runs: Iterable[Record]) -> tuple[float, ...]:
    return tuple(one.recovery for one in runs if one.recovery is not None)


def _points(share: float) -> str:
    return f"{100 * share:.0f}"
