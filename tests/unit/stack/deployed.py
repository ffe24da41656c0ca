"""A cluster on which a small stack can be deployed: objects by their paths, and no API server."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio

from harness.cluster.local import LocalCluster
from harness.errors import ApiError
from harness.stack import apply, deploy, istio

CLUSTER = LocalCluster("c", Path("k"), "unix:///d", "n", {}, "c", Path("s"))
GATEWAY = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "way-in", "namespace": "prod"},
}
BUDGET = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "prod"}}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "prod"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}},
    },
}
WEB = apply.path(DEPLOYMENT)
ISTIOD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "istiod-ours", "namespace": "istio", "labels": {"app": "istiod", istio.LABEL: istio.REVISION}},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "istiod"}},
        "template": {"metadata": {"labels": {"app": "istiod"}}},
    },
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gateways.networking.istio.io"},
    "spec": {"group": "networking.istio.io"},
    "status": {"conditions": [{"type": "Established", "status": "True"}]},
}
MONITORING = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": apply.INVENTORY_NAMESPACE, "uid": "m"}}


class Cluster:
    """Objects by their paths; a Deployment has at once the replicas that it was given, unless it is `slow`."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.slow = False
        self.rounds = 0
        self.built: list[str] = []
        self.kinds = ["Gateway"]
        self.refusals = 0
        self.run = ""
        self.namespaced = False
        self.answer: tuple[int, dict[str, Any]] = (201, {})

    def images(self, cluster: LocalCluster, wanted: dict[str, str], progress: Any) -> dict[str, str]:
        self.built = list(wanted.values())
        return {}

    async def keeper(self, socket: Path) -> dict[str, Any]:
        return {"live": self.run}

    async def get(self, path: str) -> dict[str, Any]:
        if path == "/apis/networking.istio.io/v1" and self.kinds:
            return {"resources": [{"kind": kind} for kind in self.kinds]}
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        return self.objects[path]

    async def patch(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        if isinstance(body, list):
            return self.objects[path]
        if self.namespaced and path == apply.INVENTORY and apply.path(MONITORING) not in self.objects:
            raise ApiError(404, "NotFound", f"namespaces {apply.INVENTORY_NAMESPACE}")
        self.objects[path] = {**self.objects.get(path, {}), **copy.deepcopy(dict(body))}
        return self.objects[path]

    async def delete(self, path: str, **_: Any) -> None:
        self.objects.pop(path, None)

    async def evict(self, pod: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.refusals:
            self.refusals -= 1
            return 429, {"message": "the budget allows none"}
        if self.answer[0] == 201:
            del self.objects[f"/api/v1/namespaces/prod/pods/{pod['metadata']['name']}"]
        return self.answer

    async def list(self, path: str, labels: str = "", **_: Any) -> list[dict[str, Any]]:
        inside, _, plural = path.rpartition("/")
        found = [
            item for name, item in self.objects.items() if name.startswith(inside) and name.split("/")[-2] == plural
        ]
        wanted = dict(word.split("=") for word in labels.split(",") if word)
        return [self._seen(item) for item in found if wanted.items() <= item["metadata"].get("labels", {}).items()]

    async def list_at(self, path: str, **_: Any) -> tuple[list[dict[str, Any]], str]:
        return await self.list(path), "1"

    async def watch(self, path: str, since: str = "", fields: str = "") -> AsyncIterator[tuple[str, dict[str, Any]]]:
        self.slow = self.slow and not path.endswith("/deployments")
        for item in await self.list(path):
            yield "MODIFIED", item

    def _seen(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["kind"] not in ("Deployment", "Rollout"):
            return item
        count = 0 if self.slow else item["spec"]["replicas"]
        status = {"observedGeneration": 1} | dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), count)
        return {"metadata": {**item["metadata"], "generation": 1}, "status": status}


def up(overlay: str = "kind") -> list[str]:
    lines: list[str] = []
    anyio.run(deploy.up, CLUSTER, lines.append, overlay)
    return lines
