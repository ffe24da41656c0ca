"""Whether the way in answers, and whom it leaves out."""

from __future__ import annotations

from harness.errors import ObservationFailed
from harness.model import envoy
from harness.probes import http, prometheus, settings

# Envoy tells nothing of a gauge that it never set: a gateway that is seen and is silent about it has ejected nobody.
EJECTED = f"sum({envoy.EJECTIONS}) or 0 * sum({envoy.MEMBERS})"


def status(
    url: str | None = None,
    host: str | None = None,
    path: str = "/api/v1/agents/agent-1",
    timeout: float = 5.0,
) -> int:
    """Return the status of one request through the gateway, or 0 when no answer came."""
    address = settings.gateway(url).rstrip("/") + path
    return http.status(address, host=settings.gateway_host(host), timeout=timeout)


def ejected(configuration: settings.Settings = None) -> int:
    """Return how many hosts the gateway has ejected for their errors; raises ObservationFailed when nobody can say."""
    found = prometheus.value(EJECTED, configuration)
    if found is None:
        raise ObservationFailed("nobody counts the gateway's ejections", where=EJECTED, hint="harness doctor")
    return int(found)
