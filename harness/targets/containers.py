"""Which containers of a pod a fault acts on: the named one, the one its author means, or every one that runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.cluster import backoff
from harness.errors import InjectionFailed
from harness.model.plan import PlannedFault
from harness.workloads.pod import Pod

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


def one_named(pod: Pod, named: str) -> str:
    """Name the one container that is meant, as a plan shows it."""
    return named or default(pod)


def all_named(pod: Pod, named: str) -> str:
    """Name every container, as a plan shows them."""
    return ", ".join(every(pod))


def identity(status: Mapping[str, Any]) -> str:
    """Return a container's id without the name of its runtime."""
    return str(status.get("containerID") or "").rpartition("/")[2]


def status(pod: Pod, name: str | None) -> Mapping[str, Any]:
    """Return what the kubelet says of a container; nothing of one that it does not know."""
    return next((one for one in backoff.statuses(pod) if one["name"] == name), {})


def running(pod: Pod, name: str) -> Mapping[str, Any]:
    """Return the status of the named container, of the pod's default one when none is named.

    Raises InjectionFailed where it does not run.
    """
    wanted = name or default(pod)
    found = status(pod, wanted)
    if "running" not in found.get("state", {}):
        known = ", ".join(item["name"] for item in backoff.statuses(pod))
        raise InjectionFailed(
            f"container {wanted} does not run", where=pod["metadata"]["name"], why=f"the pod's containers: {known}"
        )
    return found


def nowhere(fault: PlannedFault) -> str:
    """Name an image that nobody can have (RFC 2606), and that no other fault names."""
    # With a tag no fault's name begins as another's does.
    return f"chaos.invalid/{re.sub(r'[^a-z0-9]+', '-', fault.id.lower()).strip('-')}:none"
