"""Answer badly on purpose, as a bad release does: a share of the requests fails, or each waits.

Every so many-th request fails, none by chance: whoever measures for a short time sees the same share.
"""

from __future__ import annotations

import asyncio

from claude_services.room import HEALTH, App, Receive, Scope, Send


class Flaw:
    """Fail the stated share of requests with 500 and keep the others waiting, health apart."""

    def __init__(self, app: App, *, fail_share: float, delay_seconds: float) -> None:
        self._app, self._share, self._delay = app, fail_share, delay_seconds
        self._owed = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(HEALTH):
            await self._app(scope, receive, send)
            return
        if self._delay:
            await asyncio.sleep(self._delay)
        self._owed += self._share
        # A tenth ten times is a little less than one.
        if self._owed > 1 - 1e-9:
            self._owed -= 1
            await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send)
