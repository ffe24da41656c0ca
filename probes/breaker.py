"""What the circuit breakers of the orchestrators say."""

from __future__ import annotations

from harness.probes import prometheus
from harness.probes.settings import Settings

STATES = ("closed", "half-open", "open")


def state(dependency: str, configuration: Settings = None) -> str | None:
    """Return the worst state of any pod's breaker for `dependency`: closed, half-open or open; None without data."""
    found = prometheus.value(f'max(breaker_state{{dependency="{dependency}"}})', configuration)
    return None if found is None else STATES[int(found)]


def open_breakers(dependency: str, configuration: Settings = None) -> int | None:
    """Return how many pods have an open breaker for `dependency`; None without data."""
    found = prometheus.vector(f'breaker_state{{dependency="{dependency}"}}', configuration)
    return sum(1 for _, number in found if number == STATES.index("open")) if found else None
