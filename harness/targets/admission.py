"""Ask the API server, in a dry run, whether a namespace admits one more thing of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.cluster import observe, paths
from harness.errors import ApiError

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

# As the strictest of Kubernetes' own policies for pods wants it, with an image below a domain that nobody can have.
POD: Mapping[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "asked",
            "image": "chaos.invalid/asked:none",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}
# What can be asked for, by its plural: its kind, and the least that is one.
ASKED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "pods": ("Pod", POD),
    "services": ("Service", {"clusterIP": "None", "ports": [{"port": 80}]}),
    "persistentvolumeclaims": (
        "PersistentVolumeClaim",
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    ),
}


async def refusal(kube: Kube, namespace: str, of: str) -> str:
    """Return what the API server says against one more thing of this kind; empty where it would be created.

    Nothing is created. Raises ClusterUnreachable, and ApiError where the server had no answer.
    """
    kind, spec = ASKED[of]
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"generateName": "chaos-asked-"}, "spec": spec}
    try:
        await kube.create(paths.core(namespace, of), body, dryRun="All")
    except ApiError as error:
        # A webhook that fails is an answer, though it is told as a server's error.
        if observe.unanswered(error) and "webhook" not in error.message:
            raise
        return error.message or str(error)
    return ""
