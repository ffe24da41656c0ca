"""Tell a breaker's life from its calls: nobody sees its state, but each call shows whether it was let out.

When it opened lies between the last call that was let out and the first that was not. Where calls are so rare that it
may have opened and half-opened between two of them, its life is told up to there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from harness.checkers.traces import tally
from harness.checkers.traces.calls import Call, Outcome, Trace
from harness.checkers.traces.rules import BreakerRule


@dataclass(slots=True)
class Opening:
    """One time that a breaker was open, and what came of it.

    It opened between `earliest` and `latest`, because `probe` failed or, where that is None, out of closed. `refused`
    were refused until `probes` were let out, `waiting` while those were not decided, at `decided`.
    """

    earliest: float
    latest: float
    probe: Call | None = None
    refused: list[Call] = field(default_factory=list)
    probes: list[Call] = field(default_factory=list)
    waiting: list[Call] = field(default_factory=list)
    decided: float | None = None


@dataclass(slots=True)
class Era:
    """One time that a breaker was closed: since when, what it let out, and the opening that ended it if one did."""

    since: float
    calls: list[Call] = field(default_factory=list)
    opening: Opening | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """One caller's breaker towards one callee, from the first call of the trace on."""

    caller: str
    callee: str
    eras: list[Era]
    openings: list[Opening]


def lives(trace: Trace, rule: BreakerRule) -> list[Life]:
    """Return the life of each breaker."""
    calls: defaultdict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in sorted(trace.calls, key=lambda one: one.start):
        calls[call.caller, call.callee].append(call)
    return [_life(Life(*who, [Era(float("-inf"))], []), theirs, rule, trace.skew) for who, theirs in calls.items()]


class _Unsure(Exception):
    """From here on nobody can tell a breaker's life."""


def _life(life: Life, calls: Sequence[Call], rule: BreakerRule, skew: float) -> Life:
    opening: Opening | None = None
    with suppress(_Unsure):
        for call in calls:
            if opening and opening.probes:
                opening = _decided(life, opening, rule, call.start, skew)
            opening = _next(life, opening, call, rule, skew)
        if opening and opening.probes:
            _decided(life, opening, rule, float("inf"), skew)
    return life


def _next(life: Life, opening: Opening | None, call: Call, rule: BreakerRule, skew: float) -> Opening | None:
    """Put a call where it belongs, and return the opening that is under way with it."""
    refused = call.outcome is Outcome.REFUSED
    era = life.eras[-1]
    if opening is None:
        if refused:
            return _opened(life, call, skew)
        _seen(era, call, rule, skew)
        era.calls.append(call)
    elif opening.probes:
        (opening.waiting if refused else opening.probes).append(call)
    elif refused:
        opening.refused.append(call)
    elif call.start > opening.latest + skew:
        opening.probes.append(call)
    elif opening.probe is None and call.start < opening.earliest + rule.open_for - skew:
        era.calls.append(call)  # let out just before it opened
    else:
        # It may also be a probe, or let out when the breaker was closed and not open again: what of this opening?
        life.openings.pop()
        era.opening = None
        raise _Unsure
    return opening


def _seen(era: Era, call: Call, rule: BreakerRule, skew: float) -> None:
    """Raise _Unsure if a breaker may have opened and half-opened since the last call, with this one for its probe."""
    until = call.start - rule.open_for + skew
    if era.calls and era.calls[-1].start <= until:
        ends = tally.count(era.calls, rule)
        if any(tally.met(ends, rule, at, skew) for at in ends.ends if era.calls[-1].start - skew <= at <= until):
            raise _Unsure


def _opened(life: Life, refusal: Call, skew: float) -> Opening | None:
    """Return the opening that the first refusal of an era shows; one as soon as it had closed is of the time before."""
    era = life.eras[-1]
    if refusal.start <= era.since + skew:
        return None
    last = max((call.start for call in era.calls), default=era.since) - skew
    ends = [call.end for call in era.calls if last <= call.end <= refusal.start + skew]
    era.opening = Opening(min(ends, default=last), refusal.start, refused=[refusal])
    life.openings.append(era.opening)
    return era.opening


def _decided(life: Life, opening: Opening, rule: BreakerRule, now: float, skew: float) -> Opening | None:
    """Return how a half-open breaker goes on by a moment: as it was, open again, or closed and None."""
    told = sorted((call for call in opening.probes if call.outcome not in rule.ignored), key=lambda call: call.end)
    failed = next((call for call in told if call.outcome in rule.failing), None)
    fine = [call.end for call in told if call.outcome not in rule.failing]
    reopened = float("inf") if failed is None else failed.end
    closed = fine[rule.probes - 1] if len(fine) >= rule.probes else float("inf")
    if min(reopened, closed) > now or min(reopened, closed) == float("inf"):
        return opening
    opening.decided = min(reopened, closed)
    if sum(abs(call.end - opening.decided) <= skew for call in told) > 1:
        raise _Unsure
    if failed is not None and reopened < closed:
        life.openings.append(Opening(reopened, reopened, probe=failed))
        return life.openings[-1]
    # What was let out at the moment of closing was let out because of it.
    at_once = [call for call in opening.probes if call.start > closed - skew and call.end > closed]
    life.eras.append(Era(closed, at_once))
    return None
