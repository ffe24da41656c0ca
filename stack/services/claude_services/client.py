"""The seed's ServiceMeshClient: one breaker per dependency, around a call that times out and retries.

The breaker wraps the whole call, retries included, as in the seed. Three things are added: a deadline over all attempts
of a call, so that it ends before whoever waits for it gives up; jittered back-off between attempts; and a dependency
that refuses for want of room lives: that call is not retried, for more calls are what it lacks room for, and teaches
the breaker nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from claude_services.breaker import Breaker, CircuitOpen, Outcome
from claude_services.recording import Call, Recorder
from claude_services.settings import ClientSettings
from claude_services.transport import Answer, Send, SendFailed


class DependencyFailed(Exception):
    """A call failed after its last attempt."""

    def __init__(self, dependency: str, why: str) -> None:
        super().__init__(f"{dependency}: {why}")
        self.dependency, self.why = dependency, why


class Overloaded(Exception):
    """The dependency refused the call at once because it has no room for it."""

    def __init__(self, dependency: str) -> None:
        super().__init__(f"{dependency} has no room for more")
        self.dependency = dependency


class Observer(Protocol):
    """Count what a client does; the services count in Prometheus metrics."""

    def call(self, dependency: str) -> None: ...

    def attempt(self, dependency: str, outcome: str) -> None: ...

    def retry(self, dependency: str) -> None: ...

    def fast_failure(self, dependency: str) -> None: ...


class ServiceClient:
    """Call one dependency by name, through its breaker."""

    def __init__(
        self,
        dependency: str,
        send: Send,
        breaker: Breaker,
        settings: ClientSettings,
        observer: Observer,
        *,
        caller: str = "claude-orchestrator",
        recorder: Recorder | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.dependency, self.breaker = dependency, breaker
        self._send, self._settings, self._observer, self._caller = send, settings, observer, caller
        self._recorder = recorder or Recorder(clock=clock)
        self._clock, self._pause, self._jitter = clock, pause, jitter

    async def call(
        self, method: str, endpoint: str, *, request_id: str, body: Mapping[str, Any] | None = None
    ) -> Answer:
        """Return the dependency's answer; 4xx is an answer.

        Raises CircuitOpen when the breaker refused the call, Overloaded when the dependency did, DependencyFailed when
        no attempt succeeded.
        """
        # Nothing else runs between what is recorded and what the breaker is asked or told.
        recorded = self._recorder.begin(self.dependency, method)
        try:
            admission = self.breaker.admit()
        except CircuitOpen:
            self._recorder.end(recorded, "refused")
            self._observer.fast_failure(self.dependency)
            raise
        self._observer.call(self.dependency)
        outcome, ended = Outcome.ABANDONED, "abandoned"
        try:
            answer = await self._attempts(method, endpoint, request_id, body, recorded)
            outcome, ended = Outcome.SUCCEEDED, _outcome(answer)
        except DependencyFailed as error:
            outcome, ended = Outcome.FAILED, error.why
            raise
        except Overloaded:
            ended = "overloaded"
            raise
        finally:
            self._recorder.end(recorded, ended)
            self.breaker.record(admission, outcome)
        return answer

    async def _attempts(
        self, method: str, endpoint: str, request_id: str, body: Mapping[str, Any] | None, recorded: Call
    ) -> Answer:
        ends = self._clock() + self._settings.deadline
        headers = {"X-Service-Name": self._caller, "X-Request-ID": request_id}
        for tried in range(self._settings.retries + 1):
            patience = min(self._settings.attempt_timeout, max(ends - self._clock(), 0.0))
            attempt, outcome = self._recorder.attempt(recorded), "abandoned"
            try:
                answer = await self._send(method, endpoint, headers, body, patience)
                outcome = _outcome(answer)
            except SendFailed as error:
                outcome = error.outcome
            finally:
                self._recorder.end(attempt, outcome)
            self._observer.attempt(self.dependency, outcome)
            if outcome == "overloaded":
                raise Overloaded(self.dependency)
            if outcome in ("ok", "client-error"):
                return answer
            wait = self._jitter() * min(self._settings.backoff_cap, self._settings.backoff * 2**tried)
            if tried == self._settings.retries or self._clock() + wait >= ends:
                break
            await self._pause(wait)
            self._observer.retry(self.dependency)
        raise DependencyFailed(self.dependency, outcome)


def _outcome(answer: Answer) -> str:
    if answer.overloaded:
        return "overloaded"
    if answer.status >= 500:
        return "server-error"
    return "client-error" if answer.status >= 400 else "ok"
