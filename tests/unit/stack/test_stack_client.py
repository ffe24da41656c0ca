"""The client retries what may succeed, ends in time, and asks its breaker once per call."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from claude_services.breaker import CircuitOpen, Limits, State, WindowBreaker
from claude_services.client import DependencyFailed, ServiceClient
from claude_services.settings import ClientSettings, from_environment


class Counts:
    """Count as the services' metrics do."""

    def __init__(self) -> None:
        self.calls = self.retries = self.fast_failures = 0
        self.attempts: Counter[str] = Counter()

    def call(self, dependency: str) -> None:
        self.calls += 1

    def attempt(self, dependency: str, outcome: str) -> None:
        self.attempts[outcome] += 1

    def retry(self, dependency: str) -> None:
        self.retries += 1

    def fast_failure(self, dependency: str) -> None:
        self.fast_failures += 1


class Rig:
    """A client whose dependency, clock and pauses the test controls."""

    def __init__(
        self, answer: Callable[[httpx.Request], httpx.Response], settings: ClientSettings | None = None
    ) -> None:
        self.now = 0.0
        self.counts = Counts()
        self.seen: list[httpx.Request] = []
        self.pauses: list[float] = []

        def handle(request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            return answer(request)

        self.breaker = WindowBreaker("registry", Limits(), clock=lambda: self.now, moved=lambda was, to: None)
        self.client = ServiceClient(
            "registry",
            httpx.AsyncClient(base_url="http://registry", transport=httpx.MockTransport(handle)),
            self.breaker,
            settings or ClientSettings(attempt_timeout=1, deadline=10),
            self.counts,
            clock=lambda: self.now,
            pause=self._pause,
            jitter=lambda: 1.0,
        )

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def call(self) -> httpx.Response:
        return asyncio.run(self.client.call("GET", "/v1/agents/agent-1", request_id="r-1"))


def answers(*statuses: int) -> Callable[[httpx.Request], httpx.Response]:
    left = list(statuses)
    return lambda _: httpx.Response(left.pop(0) if len(left) > 1 else left[0])


def test_a_server_error_is_tried_again_and_counted() -> None:
    rig = Rig(answers(503, 500, 200))
    assert rig.call().status_code == 200
    assert rig.counts.attempts == {"server-error": 2, "ok": 1}
    assert (rig.counts.calls, rig.counts.retries) == (1, 2)


def test_three_retries_make_four_attempts_and_one_failed_call() -> None:
    rig = Rig(answers(503))
    with pytest.raises(DependencyFailed, match="server-error"):
        rig.call()
    assert len(rig.seen) == 4
    assert rig.breaker.state is State.CLOSED


def test_the_pauses_double() -> None:
    rig = Rig(answers(503))
    with pytest.raises(DependencyFailed):
        rig.call()
    assert rig.pauses == [0.02, 0.04, 0.08]


def test_the_breaker_counts_calls_and_not_attempts() -> None:
    rig = Rig(answers(503))
    for _ in range(5):
        with pytest.raises(DependencyFailed):
            rig.call()
    sent = len(rig.seen)
    with pytest.raises(CircuitOpen):
        rig.call()
    assert (sent, len(rig.seen), rig.counts.fast_failures, rig.counts.calls) == (20, 20, 1, 5)


def test_an_answer_that_blames_the_caller_is_an_answer() -> None:
    rig = Rig(answers(404))
    assert [rig.call().status_code for _ in range(6)] == [404] * 6
    assert rig.counts.retries == 0
    assert rig.breaker.state is State.CLOSED


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.ConnectError("refused"), "connect-failure"),
        (httpx.ReadError("reset"), "reset"),
        (httpx.ReadTimeout("slow"), "timeout"),
    ],
)
def test_each_way_to_lose_a_connection_is_named(error: httpx.TransportError, outcome: str) -> None:
    def lose(_: httpx.Request) -> httpx.Response:
        raise error

    rig = Rig(lose)
    with pytest.raises(DependencyFailed, match=outcome):
        rig.call()
    assert rig.counts.attempts == {outcome: 4}


def test_no_attempt_begins_after_the_deadline() -> None:
    rig = Rig(lambda _: httpx.Response(503), ClientSettings(attempt_timeout=1, deadline=0.05))
    with pytest.raises(DependencyFailed):
        rig.call()
    assert rig.pauses == [0.02]
    assert len(rig.seen) == 2


def test_the_request_id_and_the_callers_name_go_along() -> None:
    rig = Rig(answers(200))
    rig.call()
    assert rig.seen[0].headers["X-Request-ID"] == "r-1"
    assert rig.seen[0].headers["X-Service-Name"] == "claude-orchestrator"


def test_a_call_that_is_cut_short_counts_neither_way() -> None:
    rig = Rig(answers(200))

    async def cut() -> None:
        begun = asyncio.Event()

        async def hang(request: httpx.Request) -> httpx.Response:
            begun.set()
            await asyncio.Event().wait()
            return httpx.Response(200, request=request)

        rig.client._http = httpx.AsyncClient(base_url="http://registry", transport=httpx.MockTransport(hang))
        call = asyncio.create_task(rig.client.call("GET", "/", request_id="r-2"))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    for _ in range(6):
        asyncio.run(cut())
    assert rig.breaker.state is State.CLOSED


def test_the_environment_sets_breaker_and_client() -> None:
    settings = from_environment("claude-orchestrator", {"BREAKER_RECOVERY_SECONDS": "10", "CLIENT_RETRIES": "0"})
    assert settings.limits.recovery_timeout == 10.0
    assert settings.client.retries == 0
    assert settings.limits.failure_threshold == 5
