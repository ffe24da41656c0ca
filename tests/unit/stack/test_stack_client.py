"""The client retries what may succeed, ends in time, and asks its breaker once per call."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from claude_services.breaker import CircuitOpen, Limits, State, WindowBreaker
from claude_services.client import DependencyFailed, Overloaded, ServiceClient
from claude_services.settings import ClientSettings, from_environment
from claude_services.transport import Answer, Send, SendFailed


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

    def __init__(self, answer: Callable[[], Answer], settings: ClientSettings | None = None) -> None:
        self.now = 0.0
        self.counts = Counts()
        self.seen: list[Mapping[str, str]] = []
        self.pauses: list[float] = []

        async def send(
            method: str, endpoint: str, headers: Mapping[str, str], body: Mapping[str, Any] | None, patience: float
        ) -> Answer:
            self.seen.append(headers)
            return answer()

        self.breaker = WindowBreaker("registry", Limits(), clock=lambda: self.now, moved=lambda was, to: None)
        self.client = self.towards(send, settings or ClientSettings(attempt_timeout=1, deadline=10))

    def towards(self, send: Send, settings: ClientSettings) -> ServiceClient:
        return ServiceClient(
            "registry",
            send,
            self.breaker,
            settings,
            self.counts,
            clock=lambda: self.now,
            pause=self._pause,
            jitter=lambda: 1.0,
        )

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def call(self) -> Answer:
        return asyncio.run(self.client.call("GET", "/v1/agents/agent-1", request_id="r-1"))


def answers(*statuses: int, overloaded: bool = False) -> Callable[[], Answer]:
    left = list(statuses)
    return lambda: Answer(left.pop(0) if len(left) > 1 else left[0], b"", overloaded)


def test_a_server_error_is_tried_again_and_counted() -> None:
    rig = Rig(answers(503, 500, 200))
    assert rig.call().status == 200
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
    assert [rig.call().status for _ in range(6)] == [404] * 6
    assert rig.counts.retries == 0
    assert rig.breaker.state is State.CLOSED


@pytest.mark.parametrize("outcome", ["connect-failure", "reset", "timeout"])
def test_each_way_to_lose_a_connection_is_named(outcome: str) -> None:
    def lose() -> Answer:
        raise SendFailed(outcome)

    rig = Rig(lose)
    with pytest.raises(DependencyFailed, match=outcome):
        rig.call()
    assert rig.counts.attempts == {outcome: 4}


def test_a_dependency_without_room_is_not_asked_again_and_not_taken_for_dead() -> None:
    rig = Rig(answers(503, overloaded=True))
    for _ in range(20):
        with pytest.raises(Overloaded):
            rig.call()
    assert rig.counts.attempts == {"overloaded": 20}
    assert (rig.counts.retries, rig.breaker.state) == (0, State.CLOSED)


def test_a_probe_that_finds_no_room_leaves_the_question_open() -> None:
    rig = Rig(answers(*[503] * 20, 503))
    for _ in range(5):
        with pytest.raises(DependencyFailed):
            rig.call()
    rig.now += 60
    full = Rig(answers(503, overloaded=True))
    rig.client._send = full.client._send
    with pytest.raises(Overloaded):
        rig.call()
    assert rig.breaker.state is State.HALF_OPEN
    rig.client._send = Rig(answers(200)).client._send
    rig.call()
    assert rig.breaker.state.value == State.CLOSED.value


def test_no_attempt_begins_after_the_deadline() -> None:
    rig = Rig(answers(503), ClientSettings(attempt_timeout=1, deadline=0.05))
    with pytest.raises(DependencyFailed):
        rig.call()
    assert rig.pauses == [0.02]
    assert len(rig.seen) == 2


def test_the_request_id_and_the_callers_name_go_along() -> None:
    rig = Rig(answers(200))
    rig.call()
    assert rig.seen[0]["X-Request-ID"] == "r-1"
    assert rig.seen[0]["X-Service-Name"] == "claude-orchestrator"


def test_a_call_that_is_cut_short_counts_neither_way() -> None:
    rig = Rig(answers(200))

    async def cut() -> None:
        begun = asyncio.Event()

        async def hang(*_: object) -> Answer:
            begun.set()
            await asyncio.Event().wait()
            return Answer(200, b"")

        rig.client._send = hang
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
