"""Judge what callers feel of a breaker: that it refuses at once (CB7) and holds nobody up while closed (CB11)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from harness.checkers.traces.calls import Attempt, Call, Outcome, Trace, by_call, most_at_once
from harness.checkers.traces.life import Life
from harness.checkers.traces.rules import BreakerRule
from harness.checkers.traces.ruling import ENOUGH, Ruling, broken, held, unknown
from harness.model.units import seconds

SLOW_SHARE = 0.01


def fast_failure(trace: Trace, rule: BreakerRule, lives: Sequence[Life]) -> Ruling:
    """Judge CB7: what is refused is refused at once, and nothing is sent for it."""
    del lives
    tries = by_call(trace.attempts)
    refused = [call for call in trace.calls if call.outcome is Outcome.REFUSED]
    for call in refused:
        if tries.get(call.id):
            return broken(f"a call that {call.caller} was refused reached {call.callee}", tries[call.id][0])
    slow = [call for call in refused if call.end - call.start > rule.refuses_within + trace.skew]
    if len(slow) > SLOW_SHARE * len(refused):
        worst = max(slow, key=lambda call: call.end - call.start)
        took = seconds(worst.end - worst.start, beside=rule.refuses_within)
        return broken(f"{len(slow)} of {len(refused)} refusals were slow, one took {took}", worst)
    if len(refused) < ENOUGH:
        return unknown(f"{len(refused)} calls were refused", ENOUGH - len(refused))
    return held(f"{len(refused)} calls were refused at once")


def side_by_side(trace: Trace, rule: BreakerRule, lives: Sequence[Life]) -> Ruling:
    """Judge CB11: healthy calls of one caller that are made at once are also sent at once."""
    del rule, lives
    tries = by_call(trace.attempts)
    healthy: defaultdict[tuple[str, str], list[tuple[Call, Attempt]]] = defaultdict(list)
    for call in trace.calls:
        sent = tries.get(call.id, ())
        if call.outcome is Outcome.OK and len(sent) == 1:
            healthy[call.caller, call.callee].append((call, sent[0]))
    most = 0
    for pairs in healthy.values():
        offered = most_at_once((call.start + trace.skew, call.end - trace.skew) for call, _ in pairs)
        reached = most_at_once((attempt.start, attempt.end) for _, attempt in pairs)
        if reached < offered:
            held_up = max(pairs, key=lambda pair: pair[1].start - pair[0].start)
            return broken(f"of {offered} healthy calls at once {reached} were sent at once", held_up[1])
        most = max(most, offered)
    if most > 1:
        return held(f"{most} healthy calls were under way at once")
    return unknown("no two healthy calls of one caller were made at once", 2)
