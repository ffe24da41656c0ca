"""The caller's side of a trace: what it asked for, what it sent and what came of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping
from typing import Any

from claude_services.breaker import CircuitOpen
from claude_services.client import DependencyFailed, Overloaded
from claude_services.transport import Answer, Send, SendFailed
from harness.checkers.traces.calls import Attempt, Call, Outcome
from tests.unit.traces.upstream import TRIED


class Recorder:
    """Write down calls and attempts; `open` are the attempts that were sent and not answered."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.open: set[tuple[str, int]] = set()
        self._calls: list[Call | None] = []
        self._tried: Counter[str] = Counter()

    @property
    def calls(self) -> list[Call]:
        """Return the calls in the order in which they were begun."""
        return [call for call in self._calls if call is not None]

    async def call(self, caller: str, callee: str, method: str, id: str, asked: Awaitable[Answer]) -> None:
        """Wait for a call and write down how it ended."""
        clock = asyncio.get_running_loop().time
        start, place = clock(), len(self._calls)
        self._calls.append(None)
        outcome = Outcome.ABANDONED
        try:
            outcome = Outcome.CLIENT_ERROR if (await asked).status >= 400 else Outcome.OK
        except CircuitOpen:
            outcome = Outcome.REFUSED
        except Overloaded:
            outcome = Outcome.OVERLOADED
        except DependencyFailed as failed:
            outcome = Outcome(failed.why)
        finally:
            self._calls[place] = Call(id, caller, callee, start, clock(), outcome, method)

    def recorded(self, send: Send, host: str) -> Send:
        """Return a send that writes down each attempt at a host, and says to the callee which one it is."""

        async def sent(
            method: str, endpoint: str, headers: Mapping[str, str], body: Mapping[str, Any] | None, patience: float
        ) -> Answer:
            id = headers["X-Request-ID"]
            self._tried[id] += 1
            key, clock = (id, self._tried[id]), asyncio.get_running_loop().time
            start, outcome = clock(), Outcome.ABANDONED
            self.open.add(key)
            try:
                answer = await send(method, endpoint, {**headers, TRIED: str(key[1])}, body, patience)
                outcome = _outcome(answer)
            except SendFailed as failed:
                outcome = Outcome(failed.outcome)
                raise
            finally:
                self.open.discard(key)
                self.attempts.append(Attempt(*key, host, start, clock(), outcome))
            return answer

        return sent


def _outcome(answer: Answer) -> Outcome:
    if answer.overloaded:
        return Outcome.OVERLOADED
    if answer.status >= 500:
        return Outcome.SERVER_ERROR
    return Outcome.CLIENT_ERROR if answer.status >= 400 else Outcome.OK
