"""Ask an HTTP server once."""

from __future__ import annotations

import httpx

from harness.errors import UsageError
from harness.probes import settings

SECONDS = 5.0


def status(url: str, *, host: str = "", timeout: float = SECONDS) -> int:
    """Return the status of one GET, or 0 when no answer came; raises UsageError when it could not even be asked."""
    headers = {"host": host} if host else None
    try:
        return httpx.get(url, headers=headers, timeout=timeout, trust_env=not settings.loopback(url)).status_code
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
        raise UsageError("this cannot be asked", where=url, why=str(error), hint="http://HOST:PORT/PATH") from error
    except httpx.TransportError:
        return 0
