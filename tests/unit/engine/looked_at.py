"""A cluster that a run looks at before it begins, and what may stand there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

INVENTORY = {"data": {"paths": '["/apis/apps/v1/namespaces/mesh/deployments/gateway"]'}}


def deployment(name: str, available: int = 2, **more: Any) -> dict[str, Any]:
    status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": available} | more
    return {"metadata": {"name": name, "generation": 1}, "spec": {"replicas": 2}, "status": status}


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def pod(name: str, *, waiting: str = "", **metadata: str) -> dict[str, Any]:
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    return {
        "metadata": {"name": name, **metadata},
        "status": {"containerStatuses": [{"name": "web", "state": state}]},
    }


class Cluster:
    """An API server that lists what a test puts there, by the end of the path."""

    context = "kind-here"
    server = "https://here"
    kubeconfig = None

    def __init__(self, **lists: Any) -> None:
        self.lists, self.asked = lists, 0

    async def get(self, path: str) -> dict[str, Any]:
        return INVENTORY

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        self.asked += 1
        namespace, _, plural = path.rpartition("/")
        found = self.lists.get(f"{namespace.rpartition('/')[2]}_{plural}", self.lists.get(plural, []))
        if isinstance(found, Exception):
            raise found
        return list(found)
