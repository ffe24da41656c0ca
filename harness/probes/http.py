"""Ask an HTTP server once."""

from __future__ import annotations

import httpx

SECONDS = 5.0


def status(url: str, *, host: str = "", timeout: float = SECONDS) -> int:
    """Return the status of one GET, or 0 when no answer came."""
    try:
        return httpx.get(url, headers={"host": host} if host else None, timeout=timeout).status_code
    except httpx.TransportError:
        return 0
