"""How many pods of a Deployment serve."""

from __future__ import annotations

from harness.probes import kubernetes
from harness.probes.settings import Settings


def ready_replicas(namespace: str, deployment: str, secrets: Settings = None) -> int:
    """Return how many pods of the Deployment are Ready."""
    return int(kubernetes.deployment(namespace, deployment, secrets).status.ready_replicas or 0)


def available(namespace: str, deployment: str, secrets: Settings = None) -> bool:
    """Say whether every replica the Deployment wants is up to date and available, and none is left over."""
    found = kubernetes.deployment(namespace, deployment, secrets)
    wanted, status = found.spec.replicas, found.status
    return bool(
        (status.observed_generation or 0) >= found.metadata.generation
        and (status.available_replicas or 0) == wanted
        and (status.updated_replicas or 0) == wanted
        and (status.replicas or 0) == wanted
    )
