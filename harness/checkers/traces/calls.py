"""What is known of calls between services and of the attempts they were made of: recorded, not concluded.

A call is written down by who makes it, refused ones too. An attempt is written down by who makes it or, as ground
truth, by whom it reached; which of the two a trace holds makes no difference to a judge. All times are on one axis.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.model.calls import Attempt as Attempt
from harness.model.calls import Call as Call
from harness.model.calls import Outcome as Outcome

SKEW_SECONDS = 0.001
FAILURES = frozenset({Outcome.SERVER_ERROR, Outcome.TIMEOUT, Outcome.CONNECT_FAILURE, Outcome.RESET})


@dataclass(frozen=True, slots=True)
class Trace:
    """Calls in the order in which they were begun, and attempts.

    `hosts` are all that a callee's calls may go to; `skew` is how far two of the times may be apart that were one.
    `unseen` are the breakers, by caller and callee, that may first have opened for what was before the trace.
    """

    calls: Sequence[Call]
    attempts: Sequence[Attempt] = ()
    hosts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    skew: float = SKEW_SECONDS
    unseen: frozenset[tuple[str, str]] = frozenset()


Tries = Mapping[str, Sequence[Attempt]]


def by_call(attempts: Iterable[Attempt]) -> Tries:
    """Return each call's attempts in their order."""
    found: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in sorted(attempts, key=lambda one: (one.start, one.number)):
        found[attempt.call].append(attempt)
    return found


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """Return how many spans have a moment in common; what ends when another begins does not."""
    changes = sorted(change for start, end in spans if start < end for change in ((start, 1), (end, -1)))
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most
