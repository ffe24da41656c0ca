"""A breaker that does as declared is not accused, whatever happens to its callees and however far clocks are off."""

from __future__ import annotations

import heapq
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from claude_services.breaker import Admission, CircuitOpen, Limits, WindowBreaker
from claude_services.breaker import Outcome as Learnt
from harness.checkers.traces import judge
from harness.checkers.traces.calls import Attempt, Call, Outcome, Trace
from harness.checkers.traces.rules import BreakerRule, Rules
from harness.model.verdict import State

LEARNT = {
    Outcome.OK: Learnt.SUCCEEDED,
    Outcome.CLIENT_ERROR: Learnt.SUCCEEDED,
    Outcome.OVERLOADED: Learnt.ABANDONED,
    Outcome.SERVER_ERROR: Learnt.FAILED,
    Outcome.TIMEOUT: Learnt.FAILED,
}
SECONDS = 20.0
Admitted = tuple[float, int, str, Outcome, Admission]


class World:
    """One caller with a breaker towards each of two callees, whose health changes now and then."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.now = 0.0
        self.limits = Limits(
            failure_threshold=self.draw.randint(1, 6),
            recovery_timeout=self.draw.uniform(0.3, 3.0),
            window=self.draw.uniform(0.5, 5.0),
            volume_threshold=self.draw.randint(2, 20),
            error_ratio=self.draw.uniform(0.1, 1.0),
        )
        self.calls: dict[int, Call] = {}

    @property
    def rules(self) -> Rules:
        limits = self.limits
        return Rules(
            breaker=BreakerRule(
                limits.failure_threshold,
                limits.volume_threshold,
                limits.error_ratio,
                limits.window,
                limits.recovery_timeout,
            )
        )

    def trace(self) -> Trace:
        breakers = {
            callee: WindowBreaker(callee, self.limits, clock=lambda: self.now, moved=lambda was, to: None)
            for callee in ("registry", "router")
        }
        under_way: list[Admitted] = []
        rate, changed, bad, slowest = self.draw.uniform(3, 40), 0.0, 0.0, 0.1
        number, arrival = 0, 0.0
        while arrival < SECONDS:
            while under_way and under_way[0][0] <= arrival:
                self._ended(breakers, heapq.heappop(under_way))
            self.now = arrival
            if arrival >= changed:
                bad, slowest = self.draw.choice([0.0, 0.2, 0.5, 0.8, 1.0]), self.draw.choice([0.001, 0.1, 1.0])
                changed = arrival + self.draw.uniform(0.5, 4.0)
            callee = self.draw.choice(["registry", "registry", "router"])
            number += 1
            self.calls[number] = Call(str(number), "me", callee, arrival, arrival, Outcome.REFUSED)
            try:
                admission = breakers[callee].admit()
                failing = callee == "registry" and self.draw.random() < bad
                outcome = self.draw.choice(list(LEARNT)[3:] if failing else list(LEARNT)[:3])
                heapq.heappush(under_way, (arrival + self.draw.uniform(0, slowest), number, callee, outcome, admission))
            except CircuitOpen:
                pass
            arrival += self.draw.expovariate(rate)
        while under_way:
            self._ended(breakers, heapq.heappop(under_way))
        calls = list(self.calls.values())
        sent = [call for call in calls if call.outcome is not Outcome.REFUSED]
        return Trace(calls, [Attempt(one.id, 1, "a", one.start, one.end, one.outcome) for one in sent])

    def _ended(self, breakers: dict[str, WindowBreaker], call: Admitted) -> None:
        self.now, number, callee, outcome, admission = call
        self.calls[number] = replace(self.calls[number], end=self.now, outcome=outcome)
        breakers[callee].record(admission, LEARNT[outcome])


def off(trace: Trace, skew: float, seed: int) -> Trace:
    """Return a trace whose times are each off by up to half the skew."""
    draw = random.Random(seed)

    def moved(call: Call) -> Call:
        start = call.start + draw.uniform(-skew / 2, skew / 2)
        if call.outcome is Outcome.REFUSED:
            return replace(call, start=start, end=start)
        return replace(call, start=start, end=max(start, call.end + draw.uniform(-skew / 2, skew / 2)))

    calls = [moved(call) for call in trace.calls]
    times = {call.id: call for call in calls}
    attempts = [replace(one, start=times[one.call].start, end=times[one.call].end) for one in trace.attempts]
    return Trace(calls, attempts, skew=skew)


@settings(max_examples=40)
@given(st.integers(0, 10**9), st.sampled_from([0.001, 0.01, 0.1]))
def test_a_breaker_that_does_as_declared_is_not_accused(seed: int, skew: float) -> None:
    world = World(seed)
    found = judge(off(world.trace(), skew, seed), world.rules)
    assert not {name: ruling for name, ruling in found.items() if ruling.state is State.BROKEN}
