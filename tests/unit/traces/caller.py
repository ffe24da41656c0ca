"""The seed's own client and breaker at work against a registry that has its troubles, each part to be swapped."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial

from claude_services.breaker import Breaker, Limits, State, WindowBreaker
from claude_services.client import ServiceClient
from claude_services.recording import Recorder as Ring
from claude_services.settings import ClientSettings
from claude_services.transport import Connections, Send
from harness.checkers.traces.calls import Trace
from harness.checkers.traces.rules import BreakerRule, RetryRule, Rules, doubling
from harness.journal import calls
from harness.model.calls import Recorded
from harness.model.history import Sample
from tests.unit.traces import upstream, virtual
from tests.unit.traces.recorder import Recorder
from tests.unit.traces.upstream import Does, Upstream

CALLER, REGISTRY, ROUTER = "orchestrator-1", "agent-registry", "tool-router"
LIMITS = Limits(failure_threshold=5, recovery_timeout=2.0, window=5.0, volume_threshold=20, error_ratio=0.5)
SETTINGS = ClientSettings(attempt_timeout=0.35, deadline=0.7, retries=3, backoff=0.02, backoff_cap=0.2)
SETTINGS_ONCE = replace(SETTINGS, retries=0)
RULES = Rules(
    breaker=BreakerRule(failures=5, volume=20, ratio=0.5, window=5.0, open_for=2.0),
    retry=RetryRule(
        retries=3, attempt_timeout=0.35, deadline=0.7, pauses=doubling(0.02, 0.2, 3), methods=frozenset({"GET"})
    ),
)
# When the registry begins to do what; the breaker opens at about 2.9, 5.2 and 9.3.
TROUBLES = (
    (0.0, upstream.OK),
    (1.0, upstream.KNOWS_NOT),
    (1.6, upstream.OK),
    (2.4, upstream.FAILS),
    (5.5, upstream.OK),
    (8.4, upstream.HANGS),
    (9.8, upstream.OK),
)
FAILING, HEALTHY_AGAIN = 2.4, 9.8
UNTIL = 12.5
Clock = Callable[[], float]
Move = Callable[[State, State], None]


@dataclass(frozen=True, slots=True)
class Build:
    """What the caller is made of; each part as the seed's unless a mutation swaps it.

    What is not a GET is not tried again: `settings_once` says so.
    """

    breaker: Callable[[str, Clock, Move], Breaker] = lambda callee, clock, moved: WindowBreaker(
        callee, LIMITS, clock=clock, moved=moved
    )
    client: type[ServiceClient] = ServiceClient
    settings: ClientSettings = SETTINGS
    settings_once: ClientSettings = SETTINGS_ONCE
    jitter: Callable[[], float] | None = None
    sending: Callable[[Send], Send] = lambda send: send
    heeds_keys: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """One run: the trace as the caller tells it, as the callee does, what was recorded, and Prometheus' samples."""

    by_caller: Trace
    by_callee: Trace
    samples: list[Sample]
    recorded: Recorded


class Counts:
    """Count as the services' metrics do, to be sampled."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], float] = {}

    def _add(self, series: str, outcome: str = "") -> None:
        self.values[series, outcome] = self.values.get((series, outcome), 0.0) + 1

    def call(self, dependency: str) -> None:
        self._add(f"client_calls/{dependency}")

    def attempt(self, dependency: str, outcome: str) -> None:
        self._add(f"client_attempts/{dependency}", outcome)

    def retry(self, dependency: str) -> None:
        del dependency

    def fast_failure(self, dependency: str) -> None:
        self._add(f"breaker_fast_failures/{dependency}")

    def moved(self, dependency: str, was: State, to: State) -> None:
        del was
        self.values[f"breaker/{dependency}", ""] = float(to.value)


def troubled(host: str, at: float) -> Does:
    """Say what the registry does."""
    del host
    return next(does for since, does in reversed(TROUBLES) if since <= at)


@cache
def drive(build: Build) -> Seen:
    """Call registry and router as an orchestrator does, through all that happens to the registry."""
    registry = Upstream(troubled, heeds_keys=build.heeds_keys)
    router = Upstream(lambda host, at: upstream.OK)
    recorder, samples = Recorder(), list[Sample]()
    asyncs = _drive(build, {REGISTRY: registry, ROUTER: router}, recorder, samples)
    line = virtual.run(asyncs, lambda: recorder.open == registry.held | router.held)
    hosts = {callee: frozenset({"a"}) for callee in (REGISTRY, ROUTER)}
    told = [*registry.attempts, *router.attempts]
    by_caller, by_callee = (Trace(recorder.calls, attempts, hosts) for attempts in (recorder.attempts, told))
    return Seen(by_caller, by_callee, samples, calls.parse(line, 0.0))


async def _drive(build: Build, callees: dict[str, Upstream], recorder: Recorder, samples: list[Sample]) -> str:
    loop, counts = asyncio.get_running_loop(), Counts()
    ring = Ring(clock=loop.time)
    http, clients = [], dict[tuple[str, str], ServiceClient]()
    jitter = build.jitter or random.Random(7).random
    for callee, up in callees.items():
        await up.start()
        connections = Connections(up.urls["a"])
        http.append(connections)
        counts.moved(callee, State.CLOSED, State.CLOSED)
        breaker = build.breaker(callee, loop.time, partial(counts.moved, callee))
        send = build.sending(recorder.recorded(connections.send, "a"))
        for method, settings in (("GET", build.settings), ("POST", build.settings_once)):
            clients[callee, method] = build.client(
                callee, send, breaker, settings, counts, recorder=ring, clock=loop.time, jitter=jitter
            )
    asked = [
        *((number / 25, REGISTRY, "GET") for number in range(int(UNTIL * 25))),
        *((number / 3 + 0.013, REGISTRY, "POST") for number in range(int(UNTIL * 3))),
        *((number / 5 + 0.017, ROUTER, "GET") for number in range(int(UNTIL * 5))),
    ]
    async with asyncio.TaskGroup() as group:
        for number, (at, callee, method) in enumerate(sorted(asked)):
            await asyncio.sleep(at - loop.time())
            call = clients[callee, method].call(method, "/", request_id=f"r-{number}")
            group.create_task(recorder.call(CALLER, callee, method, f"r-{number}", call))
            labels = {key: {"pod": CALLER} | ({"outcome": key[1]} if key[1] else {}) for key in counts.values}
            samples += [Sample(at, key[0], value, labels[key]) for key, value in counts.values.items()]
    for connections in http:
        await connections.close()
    for up in callees.values():
        await up.stop()
    declared = {"breaker": asdict(LIMITS), "client": asdict(SETTINGS)}
    return json.dumps({"caller": CALLER, "declared": declared, **ring.told(0.0, wall=loop.time)})
