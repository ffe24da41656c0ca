"""The seed's ServiceMeshClient: one breaker per dependency, around a call that times out and retries.

The breaker wraps the whole call, retries included, as in the seed. Two things are added: a deadline over all attempts
of a call, so that it ends before whoever waits for it gives up, and jittered back-off between attempts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import httpx

from claude_services.breaker import Breaker, CircuitOpen, Outcome
from claude_services.settings import ClientSettings


class DependencyFailed(Exception):
    """A call failed after its last attempt."""

    def __init__(self, dependency: str, why: str) -> None:
        super().__init__(f"{dependency}: {why}")
        self.dependency, self.why = dependency, why


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
        http: httpx.AsyncClient,
        breaker: Breaker,
        settings: ClientSettings,
        observer: Observer,
        *,
        caller: str = "claude-orchestrator",
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.dependency, self.breaker = dependency, breaker
        self._http, self._settings, self._observer, self._caller = http, settings, observer, caller
        self._clock, self._pause, self._jitter = clock, pause, jitter

    async def call(
        self, method: str, endpoint: str, *, request_id: str, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """Return the dependency's answer; 4xx is an answer.

        Raises CircuitOpen when the breaker refused the call, DependencyFailed when no attempt succeeded.
        """
        try:
            admission = self.breaker.admit()
        except CircuitOpen:
            self._observer.fast_failure(self.dependency)
            raise
        self._observer.call(self.dependency)
        outcome = Outcome.ABANDONED
        try:
            response = await self._attempts(method, endpoint, request_id, body)
            outcome = Outcome.SUCCEEDED
        except DependencyFailed:
            outcome = Outcome.FAILED
            raise
        finally:
            self.breaker.record(admission, outcome)
        return response

    async def _attempts(
        self, method: str, endpoint: str, request_id: str, body: Mapping[str, Any] | None
    ) -> httpx.Response:
        ends = self._clock() + self._settings.deadline
        for tried in range(self._settings.retries + 1):
            response, outcome = await self._attempt(method, endpoint, request_id, body, ends - self._clock())
            self._observer.attempt(self.dependency, outcome)
            if response is not None and response.status_code < 500:
                return response
            wait = self._jitter() * min(self._settings.backoff_cap, self._settings.backoff * 2**tried)
            if tried == self._settings.retries or self._clock() + wait >= ends:
                break
            await self._pause(wait)
            self._observer.retry(self.dependency)
        raise DependencyFailed(self.dependency, outcome)

    async def _attempt(
        self, method: str, endpoint: str, request_id: str, body: Mapping[str, Any] | None, left: float
    ) -> tuple[httpx.Response | None, str]:
        headers = {"X-Service-Name": self._caller, "X-Request-ID": request_id}
        try:
            async with asyncio.timeout(min(self._settings.attempt_timeout, max(left, 0.0))):
                response = await self._http.request(method, endpoint, json=body, headers=headers)
        except (TimeoutError, httpx.TimeoutException):
            return None, "timeout"
        except httpx.ConnectError:
            return None, "connect-failure"
        except httpx.TransportError:
            return None, "reset"
        if response.status_code >= 500:
            return response, "server-error"
        return response, "client-error" if response.status_code >= 400 else "ok"
