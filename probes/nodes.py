"""How many nodes can work."""

from __future__ import annotations

from typing import Any

from harness.probes import kubernetes
from harness.probes.settings import Settings


def ready_nodes(selector: str = "", secrets: Settings = None) -> int:
    """Return how many nodes are Ready."""
    return sum(1 for node in kubernetes.nodes(selector, secrets) if _ready(node))


def schedulable_nodes(selector: str = "", secrets: Settings = None) -> int:
    """Return how many nodes are Ready and take new pods: not cordoned, no taint that keeps pods away."""
    return sum(1 for node in kubernetes.nodes(selector, secrets) if _ready(node) and not _closed(node))


def _ready(node: Any) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in node.status.conditions or [])


def _closed(node: Any) -> bool:
    taints = node.spec.taints or []
    return bool(node.spec.unschedulable) or any(taint.effect in ("NoSchedule", "NoExecute") for taint in taints)
