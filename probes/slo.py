"""What callers of the gateway got lately, as Prometheus saw it."""

from __future__ import annotations

from harness.model import envoy
from harness.probes import prometheus
from harness.probes.settings import Settings


def availability(window: str = "30s", configuration: Settings = None) -> float | None:
    """Return the share of requests that were answered below 500; None when there were none to judge by."""
    return prometheus.value(f"1 - {envoy.error_ratio(window)}", configuration)


def latency(quantile: float = 0.99, window: str = "30s", configuration: Settings = None) -> float | None:
    """Return a quantile of the time to answer in seconds; None when there was nothing to answer."""
    return prometheus.value(envoy.seconds(quantile, window), configuration)
