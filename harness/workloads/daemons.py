"""Whether a DaemonSet would make a pod again on its node: not where a taint keeps new pods away, and lets old ones be.

As the DaemonSet controller of Kubernetes 1.34 decides it (pkg/controller/daemon: NodeShouldRunDaemonPod).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.workloads.pod import Pod

KEEP_AWAY = ("NoSchedule", "NoExecute")
# What a node says of its own condition, and what a fault has put there, goes again.
PASSING = ("node.kubernetes.io/", "chaos.harness.dev/")


def kept_away(node: Mapping[str, Any], pod: Pod) -> str:
    """Name the taint of its node that would keep a pod like this one away; empty where none does."""
    tolerations = pod["spec"].get("tolerations") or []
    for taint in node.get("spec", {}).get("taints") or []:
        lasting = taint["effect"] in KEEP_AWAY and not taint["key"].startswith(PASSING)
        if lasting and not any(_tolerates(one, taint) for one in tolerations):
            return f"{taint['key']}:{taint['effect']}"
    return ""


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    exists = toleration.get("operator") == "Exists"
    return exists or bool(toleration.get("key") and toleration.get("value", "") == taint.get("value", ""))
