"""What a PodDisruptionBudget allows."""

from __future__ import annotations

from harness.errors import ObservationFailed
from harness.probes import kubernetes
from harness.probes.settings import Settings


def allowed_disruptions(namespace: str, name: str, secrets: Settings = None) -> int:
    """Return how many pods the budget lets go right now.

    Raises ObservationFailed while the controller has not looked at the budget as it stands.
    """
    found = kubernetes.budget(namespace, name, secrets)
    status = found.status
    if status is None or (status.observed_generation or 0) < found.metadata.generation:
        raise ObservationFailed("the budget has not been computed yet", where=f"{namespace}/{name}")
    return int(status.disruptions_allowed)
