"""See that a fault's pod is in the fault's own namespace.

Whoever may write faults in a namespace names a UID there, and a UID alone could be any pod's of the node.
"""

from __future__ import annotations

import time
import urllib.parse
from typing import Any

from harness.agent.resident.api import Answered, Api, Unreachable
from harness.agent.resident.fault import Fault
from harness.agent.resident.refused import Refused

# A static pod's kubelet has it by another UID than the API. Whoever may write pods may write this, too: it is believed
# only where nobody but an administrator may.
MIRROR, TRUSTED = "kubernetes.io/config.mirror", "kube-system"
BACKOFF = (0.2, 0.5, 1.0, 2.0)


def check(api: Api, item: dict[str, Any], fault: Fault) -> None:
    """Raise Refused unless the API server has the fault's pod, by its UID, in the fault's namespace."""
    namespace = item["metadata"].get("namespace")
    if not namespace:
        return
    name = str(item["spec"]["target"].get("name", ""))
    metadata = _pod(api, namespace, name)["metadata"]
    mirrored = (metadata.get("annotations") or {}).get(MIRROR) if namespace == TRUSTED else None
    if fault.pod not in (metadata["uid"], mirrored):
        raise Refused(f"pod {namespace}/{name} is another one", f"its UID is not {fault.pod}")


def _pod(api: Api, namespace: str, name: str) -> dict[str, Any]:
    path = f"/api/v1/namespaces/{namespace}/pods/{urllib.parse.quote(name, safe='')}"
    for seconds in (*BACKOFF, None):
        try:
            return api.get(path)
        except (Unreachable, Answered) as error:
            status = error.status if isinstance(error, Answered) else 503
            if status == 404:
                raise Refused(f"there is no pod {namespace}/{name}") from None
            if (status < 500 and status != 429) or seconds is None:
                why = f"nobody told whether the pod is in namespace {namespace}"
                raise Refused(why, f"{error}; `harness agent install` gives the right to get pods") from None
            time.sleep(seconds)
    raise AssertionError("the last try raises")
