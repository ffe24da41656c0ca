"""Judge what one call tries again: RT1 to RT4."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from harness.checkers.traces.calls import Attempt, Call, Outcome, Trace, by_call
from harness.checkers.traces.rules import RetryRule
from harness.checkers.traces.ruling import Ruling, broken, held, unknown
from harness.model.units import seconds

GAPS = 5
"""So many pauses drawn at random are never all alike."""
COARSE = 0.1
"""A clock that is off by more than this share of a pause tells no two of them apart."""


def attempts(trace: Trace, rule: RetryRule) -> Ruling:
    """Judge RT1: no call takes more attempts than its retries and one."""
    tries = by_call(trace.attempts)
    most = rule.retries + 1
    for sent in tries.values():
        if len(sent) > most:
            return broken(f"a call took {len(sent)} attempts, {most} are allowed", sent[most])
    failed = sum(one.outcome in rule.retriable for one in trace.attempts)
    pressed = sum(len(sent) == most and sent[-1].outcome in rule.retriable for sent in tries.values())
    if pressed:
        return held(f"{pressed} calls failed to the last, after {most} attempts")
    if not failed:
        return unknown("no attempt failed")
    needed = math.ceil((len(trace.attempts) / failed) ** most)
    return unknown(f"no call failed {most} times in a row, of all attempts {failed} did", needed)


def eligibility(trace: Trace, rule: RetryRule) -> Ruling:
    """Judge RT2: only what may be tried again is: the outcomes and the methods that are declared."""
    calls = {call.id: call for call in trace.calls}
    retried = spared = 0
    kept = rule.methods is None
    for id_, sent in by_call(trace.attempts).items():
        call = calls.get(id_)
        allowed = rule.methods is None or call is None or call.method in rule.methods
        for earlier, later in pairwise(sent):
            if earlier.outcome not in rule.retriable:
                return broken(f"an attempt that ended in {earlier.outcome} was tried again", later)
            if not allowed and call is not None:
                return broken(f"a {call.method} was tried again", later)
            retried += 1
        spared += sent[-1].outcome not in {*rule.retriable, Outcome.OK, Outcome.ABANDONED}
        kept = kept or (not allowed and sent[-1].outcome in rule.retriable)
    if not retried:
        return unknown("nothing was tried again")
    if not spared:
        return unknown("no attempt ended in a way that must not be tried again")
    if not kept:
        return unknown("no call failed whose method must not be tried again")
    return held(f"{retried} attempts were tried again, {spared} calls rightly not")


def deadline(trace: Trace, rule: RetryRule) -> Ruling:
    """Judge RT3: no attempt outlasts its time, and no call, retries included, the time of them all."""
    for attempt in trace.attempts:
        if (took := attempt.end - attempt.start) > rule.attempt_timeout + trace.skew:
            limit = rule.attempt_timeout
            return broken(f"an attempt took {seconds(took, beside=limit)}, more than {seconds(limit)}", attempt)
    for call in trace.calls:
        if (took := call.end - call.start) > rule.deadline + trace.skew:
            shown = seconds(took, beside=rule.deadline)
            return broken(f"a call took {shown}, more than {seconds(rule.deadline)}", call)
    if not any(attempt.outcome is Outcome.TIMEOUT for attempt in trace.attempts):
        return unknown("no attempt ran out of time")
    tries = by_call(trace.attempts)
    cut = [call for call in trace.calls if call.outcome in rule.retriable and _cut(call, tries.get(call.id, ()), rule)]
    if not cut:
        return unknown("no call ran out of the time of all its attempts")
    return held(f"{len(cut)} calls ran out of time, none went on")


def _cut(call: Call, sent: Sequence[Attempt], rule: RetryRule) -> bool:
    """Say whether a call would have gone on if it had had the time."""
    tried = rule.methods is None or call.method in rule.methods
    return tried and 0 < len(sent) <= rule.retries


def backoff(trace: Trace, rule: RetryRule) -> Ruling:
    """Judge RT4: a retry waits no longer than declared and, where that is drawn at random, not always as long."""
    gaps: defaultdict[int, list[tuple[float, Attempt]]] = defaultdict(list)
    for sent in by_call(trace.attempts).values():
        for number, (earlier, later) in enumerate(pairwise(sent), 2):
            gap, pause = later.start - earlier.end, rule.pause(number)
            least = 0.0 if rule.jittered else pause
            if not least - trace.skew <= gap <= pause + trace.skew:
                waited, limit = seconds(max(0.0, gap)), f"between {seconds(least)} and {seconds(pause)}"
                return broken(f"attempt {number} came {waited} after the one before, not {limit}", later)
            gaps[number].append((gap, later))
    most = max((len(found) for found in gaps.values()), default=0)
    if most < GAPS:
        return unknown(f"at most {most} calls made the same retry", GAPS - most)
    if not rule.jittered:
        return held(f"{sum(map(len, gaps.values()))} retries waited as declared")
    told = {number: found for number, found in gaps.items() if trace.skew <= COARSE * rule.pause(number)}
    for number, found in told.items():
        alike = max(gap for gap, _ in found) - min(gap for gap, _ in found) <= trace.skew
        if len(found) >= GAPS and alike:
            return broken(f"{len(found)} calls waited alike before attempt {number}: nothing is drawn", found[-1][1])
    if not any(len(found) >= GAPS for found in told.values()):
        return unknown("the clocks are too coarse to tell one pause from another", 0)
    return held(f"{sum(map(len, gaps.values()))} retries waited within their bounds, not alike")
