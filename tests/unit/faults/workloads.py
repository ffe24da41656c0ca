"""A Deployment of three web servers and what it made, as an API server keeps them."""

from __future__ import annotations

from typing import Any

from harness.faults import FAULTS
from harness.model.plan import PlannedFault, Victim
from tests.unit.targets.fakes import pod, reference

APPS = "/apis/apps/v1/namespaces/shop"
WEB, PODS = f"{APPS}/deployments/web", "/api/v1/namespaces/shop/pods"
VICTIM = Victim("workload", "web", "uid-web", "shop", owner="Deployment/web", container="web", path=WEB)
ROLLOUT = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web"
ON_ROLLOUT = Victim("workload", "web", "uid-web", "shop", owner="Rollout/web", container="web", path=ROLLOUT)
HASHES = {"stableRS": "abc", "currentPodHash": "abc", "phase": "Healthy", "observedGeneration": "4"}


def template(image: str = "web:1", **container: Any) -> dict[str, Any]:
    """Make a pod template with one container."""
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": image, **container}]},
    }


def web(replicas: int = 3, **spec: Any) -> dict[str, Any]:
    """Make a Deployment, its ReplicaSet and its ready pods."""
    metadata = {"name": "web", "namespace": "shop", "uid": "uid-web", "resourceVersion": "7"}
    whole = {"replicas": replicas, "template": template(), **spec}
    objects = {WEB: {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": whole}}
    owned = {
        "name": "web-abc",
        "namespace": "shop",
        "uid": "uid-web-abc",
        "creationTimestamp": "2026-11-01T10:00:00Z",
        "ownerReferences": reference("Deployment", "web"),
    }
    objects[f"{APPS}/replicasets/web-abc"] = {"metadata": owned, "spec": {"replicas": replicas, "template": template()}}
    for number in range(replicas):
        one = pod(f"uid-{number}")
        objects[f"{PODS}/{one['metadata']['name']}"] = one
    return objects


def rollout(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """Make a Rollout that is at its last release, but for what is said of its specification and status."""
    metadata = {"name": "web", "namespace": "shop", "uid": "uid-web", "resourceVersion": "7", "generation": 4}
    whole = {"replicas": 3, "template": template(), "strategy": {"canary": {"steps": []}}, **(spec or {})}
    return {"kind": "Rollout", "metadata": metadata, "spec": whole, "status": {**HASHES, **status}}


def planned(kind: str, victim: Victim = VICTIM, **parameters: Any) -> PlannedFault:
    """Plan a fault on it."""
    return PlannedFault("run-1", kind, "an activity", FAULTS[kind].hand, victim, parameters)
