"""What an autoscaler sees, and how many pods come of it."""

from __future__ import annotations

from functools import partial

from harness.probes import kubernetes
from harness.probes.settings import Settings
from harness.probes.waiting import waited
from harness.workloads import autoscalers
from probes import workload


def measured(namespace: str, autoscaler: str, wait: float = 0.0, secrets: Settings = None) -> int:
    """Return how many of its metrics the autoscaler could see when it last looked.

    With `wait` it is asked until it sees all of them, for so many seconds at the most.
    """
    look = partial(_measured, namespace, autoscaler, secrets)
    return waited(look, lambda found: found[0] == found[1], wait)[0]


def _measured(namespace: str, autoscaler: str, secrets: Settings) -> tuple[int, int]:
    """Return how many metrics were seen, and of how many."""
    item = kubernetes.custom("autoscaling/v2", namespace, "horizontalpodautoscalers", autoscaler, secrets)
    return len(autoscalers.state(item).measured), len(item["spec"]["metrics"])


def ready_pods(namespace: str, selector: str, least: int, most: int, wait: float, secrets: Settings = None) -> int:
    """Return how many pods are Ready and stay, as soon as they are so many, after so many seconds at the most.

    Until the time is up a look that nobody answers says nothing.
    """
    look = partial(workload.ready_pods, namespace, selector, secrets)
    return waited(look, lambda found: least <= found <= most, wait)
