"""A service remembers its last calls, those under way and those refused too, and shows them beside its metrics."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest

from claude_services.breaker import CircuitOpen, Limits, State, WindowBreaker
from claude_services.breaker import Outcome as Ended
from claude_services.client import Overloaded, ServiceClient
from claude_services.recording import Recorder, declared
from claude_services.settings import ClientSettings, from_environment
from claude_services.transport import Answer, SendFailed
from harness.journal import calls
from harness.model.calls import Outcome
from tests.unit.stack.test_stack_client import Counts

WALL = 1_000_000.0
METRICS = b"breaker_state 0\n"


class Rig:
    """A service that calls another one under a clock of its own; each answer takes half a second."""

    def __init__(self, *, most: int = 100, failures: int = 5) -> None:
        self.now = 7.0
        self.recorder = Recorder(clock=self.clock, most=most)
        self.breaker = WindowBreaker("registry", Limits(failures), clock=self.clock, moved=lambda was, to: None)
        self.statuses: list[int | str] = []

    def clock(self) -> float:
        return self.now

    async def send(
        self, method: str, endpoint: str, headers: Mapping[str, str], body: Mapping[str, Any] | None, patience: float
    ) -> Answer:
        self.now += 0.5
        status = self.statuses.pop(0)
        if status == "full":
            return Answer(503, b"", overloaded=True)
        if isinstance(status, str):
            raise SendFailed(status)
        return Answer(status, b"")

    async def pause(self, seconds: float) -> None:
        self.now += seconds

    def call(self, *statuses: int | str) -> None:
        self.statuses = [*statuses]
        settings = ClientSettings(attempt_timeout=1, deadline=10, backoff=0.25, backoff_cap=1)
        client = ServiceClient(
            "registry", self.send, self.breaker, settings, Counts(),
            recorder=self.recorder, clock=self.clock, pause=self.pause, jitter=lambda: 1.0,
        )  # fmt: skip
        asyncio.run(client.call("GET", "/v1/agents", request_id="r-1"))

    def told(self, since: float = 0.0) -> dict[str, Any]:
        return self.recorder.told(since, wall=lambda: WALL + self.now)


def test_a_call_is_told_with_its_attempts_in_wall_clock_time() -> None:
    rig = Rig()
    rig.call("timeout", 200)
    begun = WALL + 7
    attempts = [[begun, begun + 0.5, "timeout"], [begun + 0.75, begun + 1.25, "ok"]]
    assert rig.told()["calls"] == [[1, "registry", "GET", begun, begun + 1.25, "ok", attempts]]


def test_a_call_that_was_refused_is_told_without_an_attempt() -> None:
    rig = Rig(failures=1)
    rig.breaker.record(rig.breaker.admit(), Ended.FAILED)
    assert rig.breaker.state is State.OPEN
    with pytest.raises(CircuitOpen):
        rig.call(200)
    assert [call[5:] for call in rig.told()["calls"]] == [["refused", []]]


def test_a_call_that_found_no_room_says_so() -> None:
    rig = Rig()
    with pytest.raises(Overloaded):
        rig.call("full")
    ((*_, outcome, attempts),) = rig.told()["calls"]
    assert (outcome, attempts[0][2]) == ("overloaded", "overloaded")


def test_what_is_under_way_has_no_end_and_is_read_as_abandoned() -> None:
    rig = Rig()
    rig.recorder.attempt(rig.recorder.begin("registry", "GET"))
    told = rig.told()
    assert told["calls"] == [[1, "registry", "GET", WALL + 7, None, "", [[WALL + 7, None, ""]]]]
    rig.now += 1
    read = calls.parse(json.dumps({"caller": "a", "declared": {}, **rig.told()}), WALL)
    assert [(one.start, one.end, one.outcome) for one in (*read.calls, *read.attempts)] == [
        (7.0, 8.0, Outcome.ABANDONED)
    ] * 2


def test_the_oldest_calls_are_forgotten_and_what_is_left_is_not_whole() -> None:
    rig = Rig(most=2)
    rig.call(200)
    rig.call(200)
    assert (rig.told()["whole"], rig.told()["from"]) == (True, WALL + 7)
    rig.call(200)
    told = rig.told()
    assert (told["whole"], told["from"], [call[0] for call in told["calls"]]) == (False, WALL + 7.5, [2, 3])


def test_what_is_forgotten_within_one_tick_of_the_clock_is_forgotten_all_the_same() -> None:
    rig = Rig(most=1)
    for _ in range(2):
        rig.recorder.begin("registry", "GET")
    assert rig.told()["whole"] is False


def test_only_what_was_asked_for_is_told() -> None:
    rig = Rig()
    rig.call(200)
    rig.call(200)
    told = rig.told(WALL + 7.25)
    assert (told["whole"], told["from"], [call[0] for call in told["calls"]]) == (False, WALL + 7.25, [2])


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A service's port for metrics; the library that counts them is in its image alone."""
    library, page = ModuleType("prometheus_client"), ModuleType("prometheus_client.exposition")
    for name in ("GC_COLLECTOR", "PLATFORM_COLLECTOR", "REGISTRY", "disable_created_metrics"):
        setattr(library, name, Mock())
    library.generate_latest = lambda: METRICS  # type: ignore[attr-defined]
    page.CONTENT_TYPE_PLAIN_0_0_4 = "text/plain"  # type: ignore[attr-defined]
    for module in (library, page):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    exposition = importlib.import_module("claude_services.exposition")
    monkeypatch.setattr(exposition, "NEVER", 0.01)
    settings = from_environment("orchestrator", {})
    recorder = Recorder(clock=lambda: 7.0)
    recorder.begin("registry", "GET")
    server = exposition.serve(0, lambda since: {"since": since, "declared": declared(settings), **recorder.told(since)})
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def get(port: int, path: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{port}{path}") as answer:
        return bytes(answer.read())


def test_calls_are_shown_beside_the_metrics(port: int) -> None:
    told = json.loads(get(port, "/debug/calls?since=12.5"))
    assert (told["since"], told["declared"]["breaker"]["failure_threshold"]) == (12.5, 5)
    assert len(json.loads(get(port, "/debug/calls"))["calls"]) == 1
    assert get(port, "/metrics") == get(port, "/") == METRICS


def test_a_moment_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        get(port, "/debug/calls?since=yesterday")
