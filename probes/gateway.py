"""Whether the way in answers."""

from __future__ import annotations

from harness.probes import http, settings


def status(
    url: str | None = None,
    host: str = settings.GATEWAY_HOST,
    path: str = "/api/v1/agents/agent-1",
    timeout: float = 5.0,
) -> int:
    """Return the status of one request through the gateway, or 0 when no answer came."""
    return http.status(settings.gateway(url).rstrip("/") + path, host=host, timeout=timeout)
