"""What an autoscaler sees, and how many pods come of it."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from harness.errors import ClusterUnreachable
from harness.probes import kubernetes
from harness.probes.settings import Settings
from harness.workloads import autoscalers
from probes import workload

LOOK_EVERY = 0.5


def measured(namespace: str, autoscaler: str, wait: float = 0.0, secrets: Settings = None) -> int:
    """Return how many of its metrics the autoscaler could see when it last looked.

    With `wait` it is asked until it sees all of them, for so many seconds at the most.
    """
    until = time.monotonic() + wait
    while (left := until - time.monotonic()) > 0:
        with contextlib.suppress(ClusterUnreachable):
            item = _look(namespace, autoscaler, secrets)
            if len(found := autoscalers.state(item).measured) == len(item["spec"]["metrics"]):
                return len(found)
        time.sleep(min(LOOK_EVERY, left))
    return len(autoscalers.state(_look(namespace, autoscaler, secrets)).measured)


def _look(namespace: str, autoscaler: str, secrets: Settings) -> dict[str, Any]:
    return kubernetes.custom("autoscaling/v2", namespace, "horizontalpodautoscalers", autoscaler, secrets)


def ready_pods(namespace: str, selector: str, least: int, most: int, wait: float, secrets: Settings = None) -> int:
    """Return how many pods are Ready and stay, as soon as they are so many, after so many seconds at the most.

    Until the time is up a look that nobody answers says nothing.
    """
    until = time.monotonic() + wait
    while (left := until - time.monotonic()) > 0:
        with contextlib.suppress(ClusterUnreachable):
            if least <= (found := workload.ready_pods(namespace, selector, secrets)) <= most:
                return found
        time.sleep(min(LOOK_EVERY, left))
    return workload.ready_pods(namespace, selector, secrets)
