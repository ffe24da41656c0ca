"""What a HorizontalPodAutoscaler says of itself: whose pods it counts, how many it wants, and whether it can see.

Fields as in the API reference of Kubernetes 1.34 (autoscaling/v2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
KIND = "HorizontalPodAutoscaler"
# A metric that nobody answered for; a workload that is scaled to none, or a wrong selector, is another matter.
UNSEEN = "FailedGet"
# The longest text of a controller that is kept.
LONGEST = 300


def path(namespace: str, name: str = "") -> str:
    """Return the API path of a namespace's autoscalers, or of one."""
    return f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers" + (f"/{name}" if name else "")


@dataclass(frozen=True, slots=True)
class State:
    """Which workload an autoscaler scales, between which bounds, and how many pods it wants at present.

    It is `blind` while it cannot tell how many are needed because metrics lack: then it changes nothing. `limited` says
    that it would want more, or fewer, than it may. `measured` is what it last saw of each metric that it could see.
    """

    target: str
    least: int
    most: int
    wanted: int | None
    blind: bool
    limited: str
    measured: tuple[str, ...]
    message: str


def state(item: Object) -> State:
    """Read what an autoscaler says; it wants nothing yet where it has never looked."""
    spec, status = item["spec"], item.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    active, limited = (conditions.get(name) or {} for name in ("ScalingActive", "ScalingLimited"))
    blind = active.get("status") == "False" and str(active.get("reason", "")).startswith(UNSEEN)
    return State(
        target=f"{spec['scaleTargetRef']['kind']}/{spec['scaleTargetRef']['name']}",
        least=int(spec.get("minReplicas") or 1),
        most=int(spec["maxReplicas"]),
        wanted=int(status["desiredReplicas"]) if active and "desiredReplicas" in status else None,
        blind=blind,
        limited=str(limited.get("reason", "")) if limited.get("status") == "True" else "",
        measured=tuple(filter(None, map(_measured, status.get("currentMetrics") or ()))),
        message=str(active.get("message") or "")[:LONGEST] if blind else "",
    )


def _measured(metric: Object) -> str:
    """Say what was seen of one metric; one that was not seen has no type."""
    kind = str(metric.get("type", ""))
    told = metric.get(kind[:1].lower() + kind[1:]) or {}
    name, current = told.get("name") or (told.get("metric") or {}).get("name"), told.get("current") or {}
    if not name:
        return ""
    share = current.get("averageUtilization")
    return f"{name} {share} %" if share is not None else f"{name} {current.get('averageValue', current.get('value'))}"
