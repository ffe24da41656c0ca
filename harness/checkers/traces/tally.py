"""Count how calls ended, and say when a breaker's rule was met, for sure or possibly.

Two ends that are closer than the skew may have come in the other order. With a positive slack all of that is read in
favour of the rule being met (it may have been), with a negative one against it (it was for sure).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from harness.checkers.traces.calls import Call, Outcome
from harness.checkers.traces.rules import BreakerRule


@dataclass(frozen=True, slots=True)
class Tally:
    """When calls failed and when they succeeded, each in the order of time."""

    failed: list[float]
    fine: list[float]

    @property
    def ends(self) -> list[float]:
        """Return every moment at which a call was counted."""
        return sorted(self.failed + self.fine)


def count(calls: Iterable[Call], rule: BreakerRule, also: Collection[Outcome] = ()) -> Tally:
    """Count calls as a breaker does that knows its failures, or takes what is in `also` for failures, too."""
    failing = {*rule.failing, *also}
    skipped = {*rule.ignored, Outcome.REFUSED} - set(also)
    known = [call for call in calls if call.outcome not in skipped]
    return Tally(
        sorted(call.end for call in known if call.outcome in failing),
        sorted(call.end for call in known if call.outcome not in failing),
    )


def in_a_row(tally: Tally, at: float, slack: float) -> int:
    """Return how many calls in a row had failed at a moment."""
    before = bisect_right(tally.fine, at - slack)
    last = tally.fine[before - 1] if before else float("-inf")
    return _within(tally.failed, last - slack, at + slack)


def met(tally: Tally, rule: BreakerRule, at: float, slack: float) -> bool:
    """Say whether the rule was met at a moment: possibly with a positive slack, surely with a negative one."""
    if in_a_row(tally, at, slack) >= rule.failures:
        return True
    failed = _within(tally.failed, at - rule.window - slack, at + slack)
    doubt = abs(slack)
    few = _within(tally.fine, at - rule.window + doubt, at - doubt)
    # A window is looked at when a call ends, which may have been as much earlier than `at` as is in doubt.
    many = _within(tally.fine, at - rule.window - 3 * doubt, at + doubt)
    if slack < 0:
        return failed + few >= rule.volume and failed >= rule.ratio * (failed + many)
    fine = max(few, rule.volume - failed)
    return fine <= many and failed >= rule.ratio * (failed + fine)


def _within(times: list[float], start: float, end: float) -> int:
    return max(0, bisect_right(times, end) - bisect_left(times, start))
