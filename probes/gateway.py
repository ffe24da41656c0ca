"""Whether the way in answers."""

from __future__ import annotations

from harness.probes import http, settings


def status(
    url: str | None = None,
    host: str | None = None,
    path: str = "/api/v1/agents/agent-1",
    timeout: float = 5.0,
) -> int:
    """Return the status of one request through the gateway, or 0 when no answer came."""
    address = settings.gateway(url).rstrip("/") + path
    return http.status(address, host=settings.gateway_host(host), timeout=timeout)
