"""Callers that each break one property: a breaker, a client or a setting that is not as declared."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from claude_services.breaker import (
    Admission,
    Breaker,
    CircuitOpen,
    Limits,
    NeverOpens,
    Outcome,
    State,
    WindowBreaker,
    build,
)
from claude_services.client import DependencyFailed, ServiceClient
from claude_services.transport import Answer, Send
from tests.unit.traces.caller import LIMITS, SETTINGS, Build, Clock, Move


class Leaky(WindowBreaker):
    """Lets every tenth call out while open."""

    refused = 0

    def admit(self) -> Admission:
        try:
            return super().admit()
        except CircuitOpen:
            self.refused += 1
            if self.refused % 10 or self.state is not State.OPEN:
                raise
            return Admission(-1)


class Hasty(WindowBreaker):
    """After a probe that failed it waits half its time only."""

    def record(self, admission: Admission, outcome: Outcome) -> None:
        probing = self.state is State.HALF_OPEN
        super().record(admission, outcome)
        if probing and self.state is State.OPEN:
            self._opened_at -= self._limits.recovery_timeout / 2


class SlowToRefuse(ServiceClient):
    """Thinks before it says no."""

    async def call(self, *asked: Any, **more: Any) -> Answer:
        try:
            return await super().call(*asked, **more)
        except CircuitOpen:
            await asyncio.sleep(0.2)
            raise


class Touchy(ServiceClient):
    """Takes an answer that blames the caller for a failure."""

    async def _attempts(self, *asked: Any) -> Answer:
        answer = await super()._attempts(*asked)
        if answer.status >= 400:
            raise DependencyFailed(self.dependency, "client-error")
        return answer


class OneByOne(ServiceClient):
    """Holds a lock around each call."""

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._lock = asyncio.Lock()

    async def call(self, *asked: Any, **more: Any) -> Answer:
        async with self._lock:
            return await super().call(*asked, **more)


def limited(limits: Limits) -> Build:
    return Build(breaker=lambda callee, clock, moved: WindowBreaker(callee, limits, clock=clock, moved=moved))


def breaking(kind: type[WindowBreaker]) -> Build:
    return Build(breaker=lambda callee, clock, moved: kind(callee, LIMITS, clock=clock, moved=moved))


def shared() -> Build:
    """One breaker for whatever is called."""
    found: list[WindowBreaker] = []

    def breaker(callee: str, clock: Clock, moved: Move) -> Breaker:
        found.append(WindowBreaker(callee, LIMITS, clock=clock, moved=moved))
        return found[0]

    return Build(breaker=breaker)


def asking_again(send: Send) -> Send:
    """Takes an answer that blames the caller for one of a callee in trouble, and so tries again."""

    async def sent(
        method: str, endpoint: str, headers: Mapping[str, str], body: Mapping[str, Any] | None, patience: float
    ) -> Answer:
        answer = await send(method, endpoint, headers, body, patience)
        return replace(answer, status=503) if answer.status == 404 else answer

    return sent


def patient(send: Send) -> Send:
    """Waits for each answer as long as it takes."""

    async def sent(
        method: str, endpoint: str, headers: Mapping[str, str], body: Mapping[str, Any] | None, patience: float
    ) -> Answer:
        return await send(method, endpoint, headers, body, patience + 1.0)

    return sent


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is swapped, the property that this breaks, and those that cannot be kept without it."""

    build: Build
    breaks: str
    with_it: frozenset[str] = frozenset()


MUTANTS: Mapping[str, Mutant] = {
    # A call that is let out looks like a probe, whatever let it out.
    "lets calls out while open": Mutant(breaking(Leaky), "CB1", frozenset({"CB2", "CB4", "CB5", "CB6", "CB9"})),
    "opens at three failures": Mutant(limited(replace(LIMITS, failure_threshold=3)), "CB2"),
    "never opens": Mutant(Build(breaker=lambda callee, clock, moved: NeverOpens()), "CB3"),
    # What comes late of the earlier probes restarts its timer.
    "lets all out when half-open": Mutant(
        Build(breaker=lambda callee, clock, moved: build("literal", callee, LIMITS, clock=clock, moved=moved)),
        "CB4",
        frozenset({"CB6"}),
    ),
    "waits half as long after a failed probe": Mutant(breaking(Hasty), "CB5"),
    "never half-opens": Mutant(limited(replace(LIMITS, recovery_timeout=1e6)), "CB6"),
    "is slow to refuse": Mutant(Build(client=SlowToRefuse), "CB7"),
    "has one breaker for all": Mutant(shared(), "CB8", frozenset({"CB2", "CB3", "CB6"})),
    "opens again and again": Mutant(limited(replace(LIMITS, recovery_timeout=0.2)), "CB9", frozenset({"CB1", "CB5"})),
    "opens for answers that blame the caller": Mutant(Build(client=Touchy), "CB10", frozenset({"CB2"})),
    # A call that waits for the lock has begun, and the breaker has not heard of it.
    "makes its calls one by one": Mutant(
        Build(client=OneByOne),
        "CB11",
        frozenset({"CB1", "CB2", "CB4", "CB5", "CB6", "CB7", "CB9", "RT3"}),
    ),
    # The sixth attempt has a longer pause before it than any that is declared.
    "tries six times": Mutant(Build(settings=replace(SETTINGS, retries=5)), "RT1", frozenset({"RT4"})),
    "tries again what is not idempotent": Mutant(Build(settings_once=SETTINGS), "RT2"),
    "tries again what the caller is to blame for": Mutant(Build(sending=asking_again), "RT2"),
    "waits for an answer as long as it takes": Mutant(Build(sending=patient), "RT3"),
    "goes on after its deadline": Mutant(Build(settings=replace(SETTINGS, deadline=5.0)), "RT3"),
    "draws no pause": Mutant(Build(jitter=lambda: 0.5), "RT4"),
    "pauses for too long": Mutant(Build(settings=replace(SETTINGS, backoff=0.1)), "RT4"),
    "has its effect at each attempt": Mutant(Build(heeds_keys=False), "RT7"),
}
