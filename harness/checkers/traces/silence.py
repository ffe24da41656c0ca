"""Tell from attempts which hosts were out of turn: those that nobody asked although others were asked often.

A balancer that spreads its attempts evenly leaves out one of so many hosts by chance, too, and the fewer attempts there
are the likelier that is. So a host counts as silent only where chance is ruled out.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.checkers.traces.calls import Attempt, Trace
from harness.checkers.traces.rules import EjectionRule
from harness.checkers.traces.ruling import draws


@dataclass(frozen=True, slots=True)
class Silence:
    """One time that a host was not asked: after which attempt, and the one that ended it if any did.

    `gone` are the first and the last moment at which it may have gone because so many of its attempts in a row had
    failed, None where it was silent for another reason; `since` is the last of them, or when it was asked last. `times`
    is how often it can have gone by then.
    """

    host: str
    after: Attempt
    back: Attempt | None
    since: float
    until: float
    gone: tuple[float, float] | None
    times: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What one caller asked of the hosts of one callee, and when each host had failed so often that it may go."""

    hosts: frozenset[str]
    attempts: Sequence[Attempt]
    due: Mapping[str, Sequence[float]]

    @property
    def draws(self) -> int:
        """Return how many attempts rule out that a host was left out by chance."""
        return draws(1 / len(self.hosts))

    def asked(self, start: float, end: float) -> int:
        """Return how many attempts began between two moments."""
        first = bisect_right(self.attempts, start, key=lambda one: one.start)
        return max(0, bisect_left(self.attempts, end, key=lambda one: one.start) - first)

    def failing(self, start: float, end: float) -> set[str]:
        """Return the hosts that may go at some moment between two."""
        return {host for host, ends in self.due.items() if bisect_right(ends, end) > bisect_left(ends, start)}


def turns(trace: Trace, rule: EjectionRule) -> list[Turn]:
    """Return what each caller asked of each callee whose hosts are known."""
    calls = {call.id: call for call in trace.calls}
    found: defaultdict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in sorted(trace.attempts, key=lambda one: one.start):
        call = calls.get(attempt.call)
        if call is not None and len(trace.hosts.get(call.callee, ())) > 1:
            found[call.caller, call.callee].append(attempt)
    return [_turn(trace.hosts[callee], attempts, rule) for (_, callee), attempts in found.items()]


def _turn(hosts: frozenset[str], attempts: Sequence[Attempt], rule: EjectionRule) -> Turn:
    due = {host: _due([one for one in attempts if one.host == host], rule) for host in sorted(hosts)}
    return Turn(hosts, attempts, due)


def _due(attempts: Sequence[Attempt], rule: EjectionRule) -> list[float]:
    """Return when a host failed for the time that is one too many, or again after that."""
    found: list[float] = []
    row = 0
    for one in sorted(attempts, key=lambda attempt: attempt.end):
        row = row + 1 if one.outcome in rule.failing else 0
        if row >= rule.failures:
            found.append(one.end)
    return found


def silences(turn: Turn, rule: EjectionRule, skew: float) -> list[Silence]:
    """Return each time that a host was asked, then not, and this was no chance."""
    found: list[Silence] = []
    for host, due in turn.due.items():
        own = [one for one in turn.attempts if one.host == host]
        for after, back in zip(own, [*own[1:], None], strict=False):
            until = turn.attempts[-1].start if back is None else back.start
            went = due[bisect_left(due, after.start - skew) : bisect_right(due, until + skew)]
            since = went[-1] if went else after.start
            if turn.asked(since, until) >= turn.draws:
                gone = (went[0], went[-1]) if went else None
                before = bisect_right(due, since)
                times = min(before, 1 + int((since - due[0] + skew) / rule.base)) if before else 0
                # Clocks that are apart may hide why it was silent before.
                times += sum(one.host == host and one.gone is None for one in found)
                found.append(Silence(host, after, back, since, until, gone, times))
    return found


def panics(turn: Turn, rule: EjectionRule) -> Iterator[tuple[float, float]]:
    """Return each stretch in which so many hosts had to be out that less than the panic share was left.

    A host is out for sure when it was due for the first time, and when not so many others may have been out by then
    that there was no room for it.
    """
    most, count = rule.most_out(len(turn.hosts)), len(turn.hosts)
    sure = [
        (due[0], due[0] + rule.base)
        for host, due in turn.due.items()
        if due and len(turn.failing(due[0] - rule.longest - rule.interval, due[0]) - {host}) < most
    ]
    marks = sorted({mark for span in sure for mark in span})
    for start, end in pairwise(marks):
        out = sum(since <= start and end <= until for since, until in sure)
        if (count - min(out, most)) / count < rule.panic:
            yield start, end


def may_panic(turn: Turn, rule: EjectionRule, start: float, end: float) -> bool:
    """Say whether so many hosts may have been out at once that all were asked, at any moment between two."""
    out = min(len(turn.failing(start - rule.longest - rule.interval, end)), rule.most_out(len(turn.hosts)))
    return (len(turn.hosts) - out) / len(turn.hosts) < rule.panic
