"""Send one request to one address over kept connections; what went wrong is told in three words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read to its end."""

    status: int
    body: bytes
    overloaded: bool = False
    """Whether it says that it was refused for want of room, and not tried."""

    def json(self) -> Any:
        """Return the body as JSON; raises ValueError."""
        return json.loads(self.body)


class SendFailed(Exception):
    """No answer came."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        """timeout, connect-failure or reset"""


Send = Callable[[str, str, Mapping[str, str], Mapping[str, Any] | None, float], Awaitable[Answer]]
"""Method, endpoint, headers, body and patience in seconds to an Answer; raises SendFailed."""


class Connections:
    """The kept connections to one base address; made on first use, because only then is there a loop."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, endpoint: str, headers: Mapping[str, str], body: Mapping[str, Any] | None, patience: float
    ) -> Answer:
        """Send a request and read its answer to the end; raises SendFailed."""
        session = self._session or self._open()
        try:
            async with (
                asyncio.timeout(patience),
                session.request(method, endpoint, headers=headers, json=body) as response,
            ):
                return Answer(response.status, await response.read(), "x-overload" in response.headers)
        except TimeoutError:
            raise SendFailed("timeout") from None
        except aiohttp.ClientConnectorError:
            raise SendFailed("connect-failure") from None
        except (aiohttp.ClientError, OSError):
            raise SendFailed("reset") from None

    def _open(self) -> aiohttp.ClientSession:
        self._session = session = aiohttp.ClientSession(
            self._base_url,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        # Its own second try after a lost connection would be an attempt that nobody counts.
        session._retry_connection = False
        return session

    async def close(self) -> None:
        """Drop every connection."""
        if self._session is not None:
            await self._session.close()
