"""How many pods of a workload serve."""

from __future__ import annotations

from functools import partial

from harness.probes import kubernetes
from harness.probes.settings import Settings
from harness.probes.waiting import waited


def ready_replicas(namespace: str, deployment: str, secrets: Settings = None) -> int:
    """Return how many pods of the Deployment are Ready."""
    return int(kubernetes.deployment(namespace, deployment, secrets).status.ready_replicas or 0)


def ready_pods(namespace: str, selector: str, secrets: Settings = None) -> int:
    """Return how many pods that a label selector picks are Ready and stay, whoever owns them."""
    return sum(
        any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ())
        for pod in kubernetes.pods(namespace, selector, secrets)
        if pod.metadata.deletion_timestamp is None
    )


def available(namespace: str, deployment: str, wait: float = 0.0, secrets: Settings = None) -> bool:
    """Say whether every replica the Deployment wants is up to date and available, and none is left over.

    With `wait` it is asked until that is so, for so many seconds at the most, as `kubectl rollout status` is.
    """
    return waited(partial(_available, namespace, deployment, secrets), bool, wait)


def _available(namespace: str, deployment: str, secrets: Settings) -> bool:
    found = kubernetes.deployment(namespace, deployment, secrets)
    wanted, status = found.spec.replicas, found.status
    return bool(
        (status.observed_generation or 0) >= found.metadata.generation
        and (status.available_replicas or 0) == wanted
        and (status.updated_replicas or 0) == wanted
        and (status.replicas or 0) == wanted
    )
