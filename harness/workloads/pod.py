"""What one pod says of itself: ready, done, whose it is, how long it may take to go, what starts again in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

Pod = Mapping[str, Any]
# What a kubelet writes on the mirror of a pod that it runs from a file.
MIRROR = "kubernetes.io/config.mirror"
# What the API server fills in where a pod names no other.
GRACE_SECONDS = 30.0
# Times of the API have whole seconds.
TAKEN_SECONDS = 1.0


def is_ready(pod: Pod) -> bool:
    """Say whether a pod is Ready and stays: a terminating pod is not."""
    conditions = pod.get("status", {}).get("conditions") or []
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return ready and not is_going(pod)


def is_going(pod: Pod) -> bool:
    """Say whether a pod, or what owns one, was told to go."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_static(pod: Pod) -> bool:
    """Say whether a kubelet runs this pod from a file, whatever the API server says."""
    return MIRROR in (pod["metadata"].get("annotations") or {})


def known_as(pod: Pod) -> str:
    """Return the UID by which a pod's kubelet knows it, as its control groups have it."""
    return str((pod["metadata"].get("annotations") or {}).get(MIRROR) or pod["metadata"]["uid"])


def is_done(pod: Pod) -> bool:
    """Say whether a pod has run to its end."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def ended_well(pod: Pod) -> bool:
    """Say whether a pod has done what it was there for; one that was told to go may end with 0, too."""
    return pod.get("status", {}).get("phase") == "Succeeded" and not is_going(pod)


def ended_before(pod: Pod, moment: datetime) -> bool:
    """Say whether a pod had run to its end by then; one that does not say when its containers ended had not."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    ends = [((one.get("state") or {}).get("terminated") or {}).get("finishedAt") for one in statuses]
    return is_done(pod) and bool(ends) and all(end and datetime.fromisoformat(end) < moment for end in ends)


def controller(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the owner reference of the controller, or None; other owners replace nothing."""
    references = item.get("metadata", {}).get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def grace(pod: Pod) -> float:
    """Return the seconds a pod may take to terminate."""
    seconds = pod["spec"].get("terminationGracePeriodSeconds")
    return GRACE_SECONDS if seconds is None else float(seconds)


def starts_again(pod: Pod, container: str, *, failed: bool) -> bool:
    """Say whether the kubelet starts a container again once it ended; `failed` says that it cannot end with 0.

    A container's own policy goes before the pod's: a sidecar that is an init container always starts again.
    """
    containers = (*pod["spec"].get("containers", ()), *pod["spec"].get("initContainers", ()))
    own = next((one.get("restartPolicy") for one in containers if one["name"] == container), None)
    policy = own or pod["spec"].get("restartPolicy", "Always")
    return bool(policy == "Always" or (policy == "OnFailure" and failed))


def overdue(pod: Pod, now: datetime) -> float:
    """Return for how many seconds a pod that was told to go should have been gone; the API writes down by when."""
    told = pod["metadata"].get("deletionTimestamp")
    return max(0.0, (now - datetime.fromisoformat(told)).total_seconds()) if told else 0.0


def never_ready(pod: Pod, now: datetime) -> float:
    """Return for how many seconds a pod has been on its node, or waited for one, without ever being Ready.

    0 where it is, or was. The kubelet writes the condition down when it takes the pod; a later time says that it was
    Ready in between.
    """
    status = pod.get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions") or []}
    homeless = conditions.get("PodScheduled", {})
    if homeless.get("status") == "False" and not is_going(pod):
        # The API server says of a pod with scheduling gates that it waits, and not since when.
        waits = homeless.get("lastTransitionTime") or pod["metadata"]["creationTimestamp"]
        return (now - datetime.fromisoformat(waits)).total_seconds()
    told = conditions.get("Ready", {})
    since, started = told.get("lastTransitionTime"), status.get("startTime")
    if is_done(pod) or is_going(pod) or told.get("status") == "True" or not since or not started:
        return 0.0
    took, begun = datetime.fromisoformat(since), datetime.fromisoformat(started)
    return (now - begun).total_seconds() if (took - begun).total_seconds() <= TAKEN_SECONDS else 0.0
