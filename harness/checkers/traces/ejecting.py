"""Judge outlier detection by which hosts were asked: OD1, OD2 and OD3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from harness.checkers.traces import silence
from harness.checkers.traces.calls import Trace
from harness.checkers.traces.rules import EjectionRule
from harness.checkers.traces.ruling import Ruling, broken, held, unknown
from harness.checkers.traces.silence import Silence, Turn
from harness.model.units import seconds


def size(trace: Trace, rule: EjectionRule) -> Ruling:
    """Judge OD1: no more hosts are out of turn at once than the share allows."""
    found = _seen(trace, rule)
    full = 0
    for turn, silences in found:
        limit = rule.most_out(len(turn.hosts))
        for start, end, out in _together(silences):
            if len(out) > limit and turn.asked(start, end) >= turn.draws:
                last = max(out, key=lambda one: one.since)
                return broken(f"{len(out)} of {len(turn.hosts)} hosts were out of turn, {limit} may be", last.after)
            full += len(out) == limit and bool(turn.failing(start, end) - {one.host for one in out})
    if full:
        return held("as many hosts as may be were out of turn, and one more that failed was not")
    return unknown(_unseen(found) or "no host failed while as many as may be were out of turn", rule.failures)


def length(trace: Trace, rule: EjectionRule) -> Ruling:
    """Judge OD2: a host that failed in a row comes back after its time, not much sooner or later."""
    found = _seen(trace, rule)
    back = 0
    for turn, silences in found:
        for one in silences:
            if one.gone is None:
                continue
            first, last = one.gone
            took, longest = one.until - first, min(rule.longest, one.times * rule.base) + rule.interval
            if turn.asked(last + longest + trace.skew, one.until) >= turn.draws:
                why = f"{one.host} was not asked for {seconds(took)}, it was to be out {seconds(longest)} at most"
                return broken(why, one.back or one.after)
            if one.back is None or silence.may_panic(turn, rule, first, one.until + trace.skew):
                continue
            if took < min(rule.base, rule.longest) - rule.interval - trace.skew:
                why = f"{one.host} was asked again after {seconds(took)}, it was to be out {seconds(rule.base)}"
                return broken(why, one.back)
            back += 1
    return held(f"{back} hosts came back in time") if back else unknown(_unseen(found) or "no host came back")


def panic(trace: Trace, rule: EjectionRule) -> Ruling:
    """Judge OD3: when too few hosts are left, all of them are asked."""
    found = _seen(trace, rule)
    seen = 0
    for turn, silences in found:
        for start, end in silence.panics(turn, rule):
            silent = next((one for one in silences if _hides(turn, one, start, end)), None)
            if silent is not None:
                why = f"{silent.host} was not asked although less than {rule.panic:.0%} of the hosts were left"
                return broken(why, silent.after)
            seen += turn.asked(start, end) >= turn.draws
    if seen:
        return held(f"{seen} times too few hosts were left, and all were asked")
    counts = [len(turn.hosts) for turn, _ in found]
    if any((count - rule.most_out(count)) / count < rule.panic for count in counts):
        return unknown("never were so many hosts failing that too few were left", rule.failures)
    return unknown("never are so many hosts out of turn that too few are left" if found else _unseen(found), 0)


def _seen(trace: Trace, rule: EjectionRule) -> list[tuple[Turn, list[Silence]]]:
    return [(turn, silence.silences(turn, rule, trace.skew)) for turn in silence.turns(trace, rule)]


def _hides(turn: Turn, one: Silence, start: float, end: float) -> bool:
    return turn.asked(max(start, one.since), min(end, one.until)) >= turn.draws


def _together(silences: Sequence[Silence]) -> Iterator[tuple[float, float, list[Silence]]]:
    """Return each stretch with the hosts that were out of turn all through it."""
    marks = sorted({mark for one in silences for mark in (one.since, one.until)})
    for start, end in pairwise(marks):
        yield start, end, [one for one in silences if one.since <= start and end <= one.until]


def _unseen(found: list[tuple[Turn, list[Silence]]]) -> str:
    if not found:
        return "no attempt was recorded whose callee's hosts are known"
    if not any(one.gone is not None for _, silences in found for one in silences):
        return "no host was seen to go out of turn after it had failed"
    return ""
