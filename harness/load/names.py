"""Find the addresses of a name without ever holding up the load."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
import time

# A name is looked up anew when so much time has passed: a failover by name is seen, a lookup each time is not paid.
KEEP_SECONDS = 5.0


class Names:
    """Addresses by name; one lookup of a name goes on at a time, in a thread that nobody waits for at the end."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[asyncio.Future[list[str]], float]] = {}

    async def find(self, name: str) -> list[str]:
        """Return the addresses of a name, in the order to try them; raises OSError when it has none."""
        if _is_address(name):
            return [name]
        future, at = self._asked.get(name, (None, 0.0))
        now = time.monotonic()
        if future is None or (future.done() and (future.exception() is not None or now - at > KEEP_SECONDS)):
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            # Whoever asked may have given up by the time it fails.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._asked[name] = (future, now)
            threading.Thread(target=_look, args=(loop, name, future), daemon=True).start()
        return await asyncio.shield(future)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _look(loop: asyncio.AbstractEventLoop, name: str, future: asyncio.Future[list[str]]) -> None:
    found: list[str] | OSError
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    except OSError as error:
        found = error
    except UnicodeError as error:
        found = socket.gaierror(str(error))
    try:
        loop.call_soon_threadsafe(_tell, future, found)
    except RuntimeError:
        return  # the load is over


def _tell(future: asyncio.Future[list[str]], found: list[str] | OSError) -> None:
    if future.done():
        return
    if isinstance(found, OSError):
        future.set_exception(found)
    else:
        future.set_result(found)
