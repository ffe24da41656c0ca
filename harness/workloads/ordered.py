"""What a StatefulSet waits for before it makes a pod again: those that come before it, unless they are parallel.

As the StatefulSet controller of Kubernetes 1.34 decides it (pkg/controller/statefulset/stateful_set_control.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.workloads.pod import Pod, is_going, is_ready

PARALLEL = "Parallel"


def held_up(item: Mapping[str, Any], pod: Pod, own: Iterable[Pod]) -> str:
    """Say which pod keeps a StatefulSet from making this one again; empty where none does. `own` are all of its pods.

    One that comes later holds up nothing.
    """
    spec = item.get("spec", {})
    stem, _, number = str(pod["metadata"]["name"]).rpartition("-")
    if spec.get("podManagementPolicy") == PARALLEL or not number.isdecimal():
        return ""
    there = {one["metadata"]["name"]: one for one in own}
    start = int((spec.get("ordinals") or {}).get("start") or 0)
    for earlier in range(start, int(number)):
        name = f"{stem}-{earlier}"
        if why := _amiss(there.get(name)):
            return f"{name} {why}"
    return ""


def _amiss(pod: Pod | None) -> str:
    if pod is None:
        return "is not there"
    if is_going(pod):
        return "is on its way out"
    return "" if is_ready(pod) else "is not ready"
