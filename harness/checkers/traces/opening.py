"""Judge why and when breakers open: CB2, CB3, CB8 and CB10."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.checkers.traces import tally
from harness.checkers.traces.calls import Call, Outcome, Trace
from harness.checkers.traces.life import Era, Life, Opening
from harness.checkers.traces.rules import BreakerRule
from harness.checkers.traces.ruling import ENOUGH, Ruling, broken, held, unknown
from harness.checkers.traces.tally import Tally

# What says nothing bad of the callee: the caller's own mistake, a full house, a caller that went away.
EXCLUDED = frozenset({Outcome.CLIENT_ERROR, Outcome.OVERLOADED, Outcome.ABANDONED})


def soundness(trace: Trace, rule: BreakerRule, lives: Sequence[Life]) -> Ruling:
    """Judge CB2: a breaker opens only when its rule was met."""
    seen = 0
    for life in lives:
        for era, opening, refusal in _ended(life, trace):
            if not _sound(tally.count(era.calls, rule), rule, opening, trace.skew):
                row = tally.in_a_row(tally.count(era.calls, rule), opening.latest, trace.skew)
                why = f"{_named(life)} refused a call after {row} failures in a row of {len(era.calls)} calls"
                return broken(why, refusal)
            seen += 1
    return held(f"{seen} openings were due") if seen else unknown("no breaker opened out of closed", rule.failures)


def completeness(trace: Trace, rule: BreakerRule, lives: Sequence[Life]) -> Ruling:
    """Judge CB3: a breaker whose rule is met lets no further call out."""
    due, worst = 0, 0
    for life in lives:
        for era in life.eras:
            ends = tally.count(era.calls, rule)
            met = _first_met(ends, rule, trace.skew)
            worst = max([worst, *(tally.in_a_row(ends, at, 0.0) for at in ends.failed)])
            if met is None:
                continue
            late = next((call for call in era.calls if call.start > met + trace.skew), None)
            if late is not None:
                return broken(f"{_named(life)} let a call out after its rule was met", late)
            due += era.opening is not None
    if due:
        return held(f"{due} breakers opened as soon as they had to")
    if worst >= rule.failures:
        return unknown("a rule was met, and no call followed that could have been refused")
    return unknown(f"at most {worst} calls in a row failed, fewer than {rule.failures}", rule.failures - worst)


def isolation(trace: Trace, rule: BreakerRule, lives: Sequence[Life]) -> Ruling:
    """Judge CB8: what fails at one callee makes no call to another one be refused."""
    asked = 0
    for life in lives:
        others = [one for one in lives if one.caller == life.caller and one.callee != life.callee]
        spans = [(opening.earliest, opening.latest + rule.open_for) for one in others for opening in one.openings]
        for era, opening, refusal in _ended(life, trace):
            if not _sound(tally.count(era.calls, rule), rule, opening, trace.skew):
                guilty = [one for one in others if tally.count(_calls(one), rule).failed]
                if guilty:
                    return broken(f"{_named(life)} refused calls, what failed was {guilty[0].callee}", refusal)
        asked += sum(any(start <= call.start <= end for start, end in spans) for call in _calls(life))
    if asked >= ENOUGH:
        return held(f"{asked} calls to others were let out while a breaker was open")
    return unknown(f"{asked} calls went to another callee while a breaker was open", ENOUGH - asked)


def classification(trace: Trace, rule: BreakerRule, lives: Sequence[Life]) -> Ruling:
    """Judge CB10: what says nothing bad of the callee opens no breaker."""
    excluded = EXCLUDED - rule.failing
    pressed, worst = 0, 0
    for life in lives:
        for era, opening, refusal in _ended(life, trace):
            harsh = tally.count(era.calls, rule, excluded)
            known = _sound(tally.count(era.calls, rule), rule, opening, trace.skew)
            if not known and _sound(harsh, rule, opening, trace.skew):
                names = sorted({call.outcome.value for call in era.calls if call.outcome in excluded})
                return broken(f"{_named(life)} opened for {', '.join(names)}", refusal)
        for era in life.eras:
            harsh = tally.count(era.calls, rule, excluded)
            worst = max([worst, *(tally.in_a_row(harsh, at, 0.0) for at in harsh.failed)])
            met = _first_met(harsh, rule, trace.skew)
            pressed += met is not None and any(call.start > met + trace.skew for call in era.calls)
    if pressed:
        return held("calls were let out after excluded outcomes that would have opened a breaker")
    why = f"at most {worst} calls in a row ended badly in any way, and no call was let out after that"
    return unknown(why, max(1, rule.failures - worst + 1))


def _ended(life: Life, trace: Trace) -> Iterator[tuple[Era, Opening, Call]]:
    """Return each era that ended in an opening, and whose calls say why."""
    unseen = (life.caller, life.callee) in trace.unseen
    for era in life.eras:
        if era.opening is not None and (era.since > float("-inf") or not unseen):
            yield era, era.opening, era.opening.refused[0]


def _sound(ends: Tally, rule: BreakerRule, opening: Opening, skew: float) -> bool:
    first, last = opening.earliest - skew, opening.latest + skew
    return any(tally.met(ends, rule, at, skew) for at in ends.ends if first <= at <= last)


def _first_met(ends: Tally, rule: BreakerRule, skew: float) -> float | None:
    """Return the first moment at which a rule had been met for sure; an end counts for sure once the skew is over."""
    moments = (at + 2 * skew for at in ends.ends)
    return next((at for at in moments if tally.met(ends, rule, at, -skew)), None)


def _calls(life: Life) -> list[Call]:
    return [call for era in life.eras for call in era.calls]


def _named(life: Life) -> str:
    return f"the breaker of {life.caller} towards {life.callee}"
