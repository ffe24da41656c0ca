"""Judge what retries cost the callee and where they go: RT5, RT6 and RT7."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from harness.checkers.traces.calls import Attempt, Call, Outcome, Trace, by_call
from harness.checkers.traces.rules import Budget, RetryRule
from harness.checkers.traces.ruling import Ruling, broken, draws, held, unknown


def amplification(trace: Trace, rule: RetryRule) -> Ruling:
    """Judge RT5: a callee is not asked more often than retries allow, nor by more of them at once than their budget.

    It counts what reached nobody's call, too. Over several tiers the factors multiply, and need no count of their own.
    """
    if not trace.attempts:
        return unknown("no attempt was recorded")
    sent = sum(call.outcome is not Outcome.REFUSED for call in trace.calls)
    most = rule.retries + 1
    tries = by_call(trace.attempts)
    if len(trace.attempts) > most * sent:
        longest = max(tries.values(), key=len)
        return broken(f"{sent} calls made {len(trace.attempts)} attempts, more than {most} each", longest[-1])
    if rule.budget is not None:
        return _within_budget(trace, rule.budget)
    if any(len(one) == most for one in tries.values()):
        return held(f"{len(trace.attempts) / sent:.2f} attempts for each call, up to {most}")
    return unknown(f"no call took all of its {most} attempts")


def _within_budget(trace: Trace, budget: Budget) -> Ruling:
    full = False
    for attempts in _by_pair(trace).values():
        again = [one for one in attempts if one.number > 1]
        retries, everything = _Spans(again), _Spans(attempts)
        for retry in again:
            under_way = retries.under_way(retry.start, trace.skew)
            limit = max(budget.least, budget.share * everything.under_way(retry.start, -trace.skew))
            if under_way > limit:
                return broken(f"{under_way} retries were under way at once, the budget is {limit:g}", retry)
            full = full or under_way >= int(limit)
    if full:
        return held("the budget for retries was used up and never exceeded")
    return unknown("the budget for retries was never used up", budget.least)


class _Spans:
    """When attempts began and when they ended, to be counted at any moment."""

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        self._starts = sorted(one.start for one in attempts)
        self._ends = sorted(one.end for one in attempts)

    def under_way(self, at: float, slack: float) -> int:
        """Return how many had begun and not ended; as few as may be with a positive slack, as many with a negative."""
        return bisect_right(self._starts, at - min(slack, 0.0)) - bisect_right(self._ends, at + slack)


def redispatch(trace: Trace, rule: RetryRule) -> Ruling:
    """Judge RT6: a retry goes to another host than the attempt before, where another one answers."""
    del rule
    moved, needed = 0, 0
    for earlier, later, hosts, others in _choices(trace):
        if later.host == earlier.host:
            return broken(f"a retry went to {later.host} again while {sorted(others)[0]} answered", later)
        moved += 1
        needed = max(needed, draws(1 / hosts))
    if not moved:
        return unknown("nothing was tried again while another host answered", draws(0.5))
    if moved < needed:
        return unknown(f"{moved} retries went to another host, which may be chance", needed - moved)
    return held(f"{moved} retries went to another host")


def _choices(trace: Trace) -> Iterator[tuple[Attempt, Attempt, int, set[str]]]:
    """Return each retry that had a choice: the attempt before, itself, how many hosts there are, who else answers."""
    for (_, callee), attempts in _by_pair(trace).items():
        hosts = trace.hosts.get(callee, frozenset())
        ended: defaultdict[str, list[tuple[float, bool]]] = defaultdict(list)
        for one in sorted(attempts, key=lambda attempt: attempt.end):
            ended[one.host].append((one.end, one.outcome in (Outcome.OK, Outcome.CLIENT_ERROR)))
        for sent in by_call(attempts).values():
            for earlier, later in pairwise(sent):
                others = {host for host in hosts - {earlier.host} if _answers(ended[host], later.start)}
                if others:
                    yield earlier, later, len(hosts), others


def _answers(ended: Sequence[tuple[float, bool]], at: float) -> bool:
    number = bisect_right(ended, (at, True))
    return number > 0 and ended[number - 1][1]


def once(trace: Trace, rule: RetryRule) -> Ruling:
    """Judge RT7: whatever the attempts of a call, it has its effect once."""
    del rule
    if all(attempt.effect is None for attempt in trace.attempts):
        return unknown("nobody recorded which attempts had their effect", 0)
    lost = 0
    for sent in by_call(trace.attempts).values():
        effects = [attempt for attempt in sent if attempt.effect]
        if len(effects) > 1:
            return broken(f"a call had its effect {len(effects)} times", effects[1])
        lost += bool(effects) and effects[0] is not sent[-1]
    if lost:
        return held(f"{lost} calls were tried again after their effect, none had it twice")
    return unknown("no call was tried again after it had its effect")


def _by_pair(trace: Trace) -> dict[tuple[str, str], list[Attempt]]:
    calls: dict[str, Call] = {call.id: call for call in trace.calls}
    found: defaultdict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in trace.attempts:
        if call := calls.get(attempt.call):
            found[call.caller, call.callee].append(attempt)
    return found
