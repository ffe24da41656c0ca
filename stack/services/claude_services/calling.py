"""Call targets as often as asked, and tell what came of it, by target.

What an application answered carries `x-served-by`, whatever its status; what a proxy answers in its place does not.
So "answered" is who was let in, and a status by itself is who was turned away.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from claude_services.json_objects import Json

ANSWERED = "answered"
MAY, MAY_NOT = "may", "may-not"
A_SECOND = 5
PATIENCE_SECONDS = 2.0
# Longer than anybody asks about.
KEPT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to call, by which name if that is not the address's own, and whether that is this caller's right."""

    may: bool
    url: str
    host: str = ""


def targets(text: str) -> list[Target]:
    """Read targets, one a line: may or may-not, an address, and a host where that is asked for by another name.

    Raises ValueError.
    """
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        right, url, *host = line.split()
        if right not in (MAY, MAY_NOT) or len(host) > 1:
            raise ValueError(f"{line!r} is not `{MAY}|{MAY_NOT} URL [HOST]`")
        found.append(Target(right == MAY, url, *host))
    return found


class Caller:
    """Calls targets when asked to, and remembers when one answered that must not have been reached."""

    def __init__(self, known: Sequence[Target], clock: Callable[[], float] = time.monotonic) -> None:
        self._targets, self._clock = known, clock
        self._let_in: deque[float] = deque()
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Have a client for as long as the block lasts; each call is a connection of its own, as a stranger's is."""
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            self._session = session
            yield

    async def call(self, count: int, a_second: float = A_SECOND) -> list[Json]:
        """Call each target so often, at this pace whatever is answered; return what came of it, by target."""
        got = [Counter[str]() for _ in self._targets]
        async with asyncio.TaskGroup() as calls:
            for number in range(count):
                if number:
                    await asyncio.sleep(1 / a_second)
                for target, counter in zip(self._targets, got, strict=True):
                    calls.create_task(self._one(target, counter))
        return [
            {"url": target.url, "may": target.may, "got": dict(counter)}
            for target, counter in zip(self._targets, got, strict=True)
        ]

    def let_in(self, within: float) -> int:
        """Count the calls of so many last seconds that were answered and must not have been."""
        since = self._clock() - within
        return sum(moment >= since for moment in self._let_in)

    async def _one(self, target: Target, counter: Counter[str]) -> None:
        outcome = await self._ask(target)
        counter[outcome] += 1
        if outcome == ANSWERED and not target.may:
            now = self._clock()
            self._let_in.append(now)
            while self._let_in[0] < now - KEPT_SECONDS:
                self._let_in.popleft()

    async def _ask(self, target: Target) -> str:
        assert self._session is not None
        headers = {"host": target.host} if target.host else {}
        try:
            async with self._session.get(target.url, headers=headers, allow_redirects=False) as response:
                await response.read()
                return ANSWERED if "x-served-by" in response.headers else str(response.status)
        except TimeoutError:
            return "timeout"
        except aiohttp.ClientConnectorError:
            return "connect-failure"
        except (aiohttp.ClientError, OSError):
            return "reset"
