"""Judge what breakers do while open, half-open and afterwards: CB1, CB4, CB5, CB6 and CB9."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harness.checkers.traces import tally
from harness.checkers.traces.calls import Attempt, Call, Trace, by_call
from harness.checkers.traces.life import Life, Opening
from harness.checkers.traces.rules import BreakerRule
from harness.checkers.traces.ruling import ENOUGH, Ruling, broken, held, unknown
from harness.model.units import seconds


def leak(trace: Trace, rule: BreakerRule, lives: Sequence[Life]) -> Ruling:
    """Judge CB1: no call that is begun while a breaker is open is let out."""
    return _shut(trace, rule, [opening for life in lives for opening in life.openings if opening.probe is None])


def reopening(trace: Trace, rule: BreakerRule, lives: Sequence[Life]) -> Ruling:
    """Judge CB5: a probe that fails opens the breaker for another whole time."""
    again = [opening for life in lives for opening in life.openings if opening.probe is not None]
    return _shut(trace, rule, again) if again else unknown("no probe failed")


def _shut(trace: Trace, rule: BreakerRule, openings: list[Opening]) -> Ruling:
    offered = 0
    for opening in openings:
        until = opening.earliest + rule.open_for - trace.skew
        early = next((call for call in opening.probes if call.start < until), None)
        if early is not None:
            took = seconds(max(0.0, early.start - opening.latest))
            why = f"a call was let out {took} after {early.caller}'s breaker towards {early.callee} opened"
            return broken(why, _proof(trace, early))
        offered += sum(call.start < until for call in opening.refused)
    if offered >= ENOUGH:
        return held(f"{offered} calls came while a breaker was open, none was let out")
    return unknown(f"{offered} calls came while a breaker was open", ENOUGH - offered)


def probes(trace: Trace, rule: BreakerRule, lives: Sequence[Life]) -> Ruling:
    """Judge CB4: a half-open breaker lets no more probes out than it may before one of them tells."""
    waited = 0
    for opening in (opening for life in lives for opening in life.openings):
        decided = float("inf") if opening.decided is None else opening.decided - trace.skew
        sent = [call for call in opening.probes if call.start < decided]
        for number, call in enumerate(sent, 1):
            over = sum(one.outcome in rule.ignored and one.end <= call.start + trace.skew for one in sent[:number])
            if number - over > rule.probes:
                why = f"{number - over} probes were under way from {call.caller} to {call.callee}"
                return broken(why, _proof(trace, call))
        waited += len(opening.waiting)
    if waited:
        return held(f"{waited} calls came while a probe was under way, none was let out")
    return unknown("no call came while a probe was under way")


def recovery(trace: Trace, rule: BreakerRule, lives: Sequence[Life]) -> Ruling:
    """Judge CB6: the first calls after the open time are let out, and when they succeed all are.

    So a callee that is healthy is called as usual once the open time, the wait for a call and that call are over.
    """
    closed = 0
    for life in lives:
        for opening in life.openings:
            due = opening.latest + rule.open_for + trace.skew
            # Clocks that are apart may put a call that waited for the probe before it.
            before = opening.probes[0].start - trace.skew if opening.probes else float("inf")
            late = next((call for call in opening.refused if due < call.start < before), None)
            if late is not None:
                after = seconds(late.start - opening.latest, beside=rule.open_for)
                why = f"a call was refused {after} after its breaker opened, which is open for {seconds(rule.open_for)}"
                return broken(why, late)
            stuck = next((call for call in opening.waiting if _idle(opening, call.start, trace.skew)), None)
            if stuck is not None:
                return broken("a call was refused by a half-open breaker with no probe under way", stuck)
        for era in life.eras[1:]:
            if era.opening is not None and not tally.count(era.calls, rule).failed:
                return broken(
                    "a call was refused though a probe had succeeded and nothing failed since", era.opening.refused[0]
                )
            closed += bool(era.calls)
    return held(f"{closed} breakers closed after a probe that succeeded") if closed else _unclosed(lives)


def _idle(opening: Opening, at: float, skew: float) -> bool:
    """Say whether a half-open breaker waited for nothing at a moment: what it had let out ended and told it nothing."""
    begun = [call for call in opening.probes if call.start <= at + skew]
    undecided = opening.decided is None or at < opening.decided - skew
    return undecided and all(call.end < at - skew for call in begun)


def _unclosed(lives: Sequence[Life]) -> Ruling:
    openings = [opening for life in lives for opening in life.openings]
    if not openings:
        return unknown("no breaker opened")
    if not any(opening.probes for opening in openings):
        return unknown("no call came after the open time, and it takes one to move a breaker")
    return unknown("no probe succeeded, or no call came after it")


def flapping(trace: Trace, rule: BreakerRule, lives: Sequence[Life]) -> Ruling:
    """Judge CB9: a breaker opens at most once in each open time."""
    times = 0
    for life in lives:
        for earlier, later in pairwise(life.openings):
            apart = later.latest - earlier.earliest
            proof = later.probe or next(iter(later.refused), None)
            if apart < rule.open_for - trace.skew and proof is not None:
                why = f"the breaker of {life.caller} towards {life.callee} opened again after {seconds(apart)}"
                return broken(why, _proof(trace, proof))
            times += 1
    return held(f"{times} times a breaker opened again in time") if times else unknown("no breaker opened twice")


def _proof(trace: Trace, call: Call) -> Attempt | Call:
    return next(iter(by_call(trace.attempts).get(call.id, ())), call)
