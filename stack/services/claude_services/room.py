"""Refuse at once what there is no room for.

Without a limit everybody who calls waits, until nobody is answered in time; the callers' breakers then take a service
that is only busy for a dead one, and their tries multiply its work. Under a limit what is begun ends in time,
and who is refused can try elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = Message
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OVERLOADED = {"x-overload": "true", "retry-after": "1"}
"""What a refusal says: nothing was begun, and this is not how a dead service answers."""
HEALTH = "/health/"


class Room:
    """Let `limit` requests in at a time, health apart; 0 is no limit."""

    def __init__(self, app: App, *, limit: int, pod: str, refused: Callable[[], None]) -> None:
        self._app, self._limit, self._refused = app, limit, refused
        said = {**OVERLOADED, "x-served-by": pod, "content-length": "0"}
        self._headers = [(name.encode(), value.encode()) for name, value in said.items()]
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(HEALTH):
            await self._app(scope, receive, send)
        elif self._limit and self._inside >= self._limit:
            self._refused()
            await send({"type": "http.response.start", "status": 503, "headers": self._headers})
            await send({"type": "http.response.body", "body": b""})
        else:
            self._inside += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._inside -= 1
