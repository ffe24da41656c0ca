"""Ask through the gateway: one call or many at a rate, and what each was answered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anyio
import httpx

from harness.probes import settings

# Nobody is asked more often than this.
MOST_A_SECOND = 60.0
PATIENCE_SECONDS = 30.0
AGENT = "/v1/agents/agent-1"
EXECUTE = f"{AGENT}/execute"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller got, and when it asked; status 0 is no answer."""

    asked: float
    seconds: float
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def by(self) -> str:
        """Name the pod that answered; nothing where a proxy did."""
        return self.headers.get("x-served-by", "")

    @property
    def tries(self) -> int:
        """Return how often the gateway tried."""
        return int(self.headers.get("x-envoy-attempt-count", "0"))

    @property
    def flags(self) -> list[str]:
        """Return the gateway's own words on what went wrong."""
        return [word for word in self.headers.get("x-envoy-response-flags", "").split(",") if word not in ("", "-")]

    @property
    def good(self) -> bool:
        """Say whether it is an answer that was asked for."""
        return 200 <= self.status < 400


def through_gateway() -> httpx.AsyncClient:
    """Return a client whose calls are as many at a time as are asked for."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    return httpx.AsyncClient(base_url=settings.gateway(None), timeout=PATIENCE_SECONDS, limits=limits, trust_env=False)


async def ask(client: httpx.AsyncClient, path: str = AGENT, host: str = settings.GATEWAY_HOST, **more: str) -> Answer:
    """Ask once; underscores in the names of headers are hyphens."""
    headers = {"Host": host, **{name.replace("_", "-"): value for name, value in more.items()}}
    began = time.monotonic()
    try:
        got = await client.get(path, headers=headers)
    except httpx.HTTPError:
        return Answer(began, time.monotonic() - began, 0)
    return Answer(began, time.monotonic() - began, got.status_code, got.headers)


async def one_by_one(client: httpx.AsyncClient, count: int, path: str, host: str, **more: str) -> list[Answer]:
    """Ask so often, each time when the one before was answered, and no more often than is allowed."""
    found = []
    for number in range(count):
        if number:
            await anyio.sleep(1 / MOST_A_SECOND)
        found.append(await ask(client, path, host, **more))
    return found


async def at_rate(
    client: httpx.AsyncClient, count: int, path: str, host: str, a_second: float = MOST_A_SECOND, **more: str
) -> list[Answer]:
    """Ask so often at a rate, whatever is answered."""
    assert a_second <= MOST_A_SECOND
    found: list[Answer] = []

    async def one() -> None:
        found.append(await ask(client, path, host, **more))

    began = time.monotonic()
    async with anyio.create_task_group() as together:
        for number in range(count):
            await anyio.sleep(max(0.0, began + number / a_second - time.monotonic()))
            together.start_soon(one)
    return sorted(found, key=lambda answer: answer.asked)


def statuses(answers: Sequence[Answer]) -> str:
    """Say how often which status was answered."""
    counts = Counter(one.status for one in answers)
    return ", ".join(f"{count} times {status or 'nothing'}" for status, count in sorted(counts.items())) or "nothing"
