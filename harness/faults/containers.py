"""Which containers of a pod a fault acts on: the named one, the one its author means, or every one that runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Pod = Mapping[str, Any]
# Where a pod's author says which container is meant when none is named, as `kubectl exec` and `kubectl logs` take it.
DEFAULT = "kubectl.kubernetes.io/default-container"


def lasting(pod: Pod) -> tuple[str, ...]:
    """Name what is to run as long as the pod: its ordinary containers, then its native sidecars.

    Init containers that come to an end and ephemeral ones are left out: the kubelet does not start them again.
    """
    sidecars = [one for one in pod["spec"].get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    return tuple(str(one["name"]) for one in (*pod["spec"]["containers"], *sidecars))


def default(pod: Pod) -> str:
    """Name the container that is meant when none is named: the annotated one, else the first ordinary one."""
    annotated = (pod["metadata"].get("annotations") or {}).get(DEFAULT)
    return str(annotated if annotated in lasting(pod) else pod["spec"]["containers"][0]["name"])


def every(pod: Pod) -> tuple[str, ...]:
    """Name all that shares a pod's fate when the whole pod is meant, ephemeral containers included."""
    ephemeral = (str(one["name"]) for one in pod["spec"].get("ephemeralContainers") or [])
    return (*lasting(pod), *ephemeral)


def aimed_at(kind: str, pod: Pod, named: str = "") -> str:
    """Name the containers that a fault of this kind acts on inside the pod; empty for one that acts on the pod."""
    if kind == "container_kill":
        return named or default(pod)
    return ", ".join(every(pod)) if kind == "pod_freeze" else ""
