"""Objects of a cluster that is not there, for what faults decide by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import anyio

from harness.cluster.local import LocalCluster
from harness.errors import ApiError
from harness.faults import FAULTS
from harness.model.plan import PlannedFault, Victim
from harness.targets.reach import Reach

PODS = "/api/v1/namespaces/shop/pods"
CLUSTER = LocalCluster("c", Path("k"), "unix:///d", "net", {"worker": "c-worker"}, "c-control-plane", Path("s"))
POD = Victim("pod", "web-1", "uid-1", "shop", "worker", "a", "Deployment/web", "web")
NODE = Victim("node", "worker", "uid-n", node="worker", zone="a")
ZONE = Victim("zone", "a", "uid-n", zone="a")
SCHEDULER = Victim(
    "component",
    "kube-scheduler-main",
    "uid-s",
    node="worker",
    owner="Pod/kube-scheduler-main",
    container="kube-scheduler",
    path="/api/v1/namespaces/kube-system/pods/kube-scheduler-main",
)


def planned(kind: str, **parameters: Any) -> PlannedFault:
    aims = {"node": (NODE, ()), "zone": (ZONE, (NODE,)), "component": (SCHEDULER, ())}
    victim, takes = aims.get(FAULTS[kind].target, (POD, ()))
    return PlannedFault("run-1", kind, "an activity", FAULTS[kind].hand, victim, parameters, takes)


# What an API server says it serves, as far as the faults ask.
SERVED = {
    "/apis/apps/v1": {
        "resources": [
            {"name": "replicasets", "kind": "ReplicaSet", "namespaced": True},
            {"name": "deployments", "kind": "Deployment", "namespaced": True},
            {"name": "daemonsets", "kind": "DaemonSet", "namespaced": True},
        ]
    }
}


def reference(kind: str, name: str, api: str = "apps/v1") -> list[dict[str, Any]]:
    """Make the references of what one controller owns; its UID is its name."""
    return [{"apiVersion": api, "kind": kind, "name": name, "uid": f"uid-{name}", "controller": True}]


def pod(
    uid: str = "uid-1", *, ready: bool = True, going: bool = False, owner: str = "ReplicaSet", name: str = "web-abc"
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": f"web-{uid}", "uid": uid, "namespace": "shop", "labels": {"app": "web"}}
    metadata["ownerReferences"] = reference(owner, name)
    if going:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": metadata, "spec": {"containers": [{"name": "web"}]}, "status": {"conditions": conditions}}


async def stays(waiting: Awaitable[Any]) -> bool:
    """Say whether something still waits once it has seen all that there is to be seen."""
    task = asyncio.ensure_future(waiting)
    await anyio.wait_all_tasks_blocked()
    still = not task.done()
    task.cancel()
    await asyncio.wait([task])
    return still


class FakeKube:
    """Objects by path, and a list of states that a watch goes through."""

    def __init__(self, objects: dict[str, Any] | None = None, changes: list[tuple[str, dict[str, Any]]] | None = None):
        self.objects, self.changes = objects or {}, changes or []
        self.evicted: list[str] = []
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.patched: list[tuple[str, Any]] = []
        self.deleted: list[str] = []
        self.failures: list[Exception] = []

    async def get(self, path: str, **_: Any) -> dict[str, Any]:
        if path in SERVED:
            return SERVED[path]
        if path not in self.objects:
            raise ApiError(404, "NotFound", "", where=path)
        return self.objects[path]

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        return (await self.list_at(path))[0]

    async def list_at(self, path: str, **_: Any) -> tuple[list[dict[str, Any]], str]:
        if self.failures:
            raise self.failures.pop(0)
        return list(self.objects.get(path, [])), "1"

    async def watch(self, path: str, **_: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        for change in self.changes:
            await anyio.sleep(0)
            yield change
        await anyio.sleep_forever()

    async def evict(self, pod: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.evicted.append(pod["metadata"]["name"])
        return self.answers.pop(0)

    async def patch(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        self.patched.append((path, body))
        return {}

    async def create(self, path: str, body: Any) -> dict[str, Any]:
        if self.failures:
            raise self.failures.pop(0)
        return dict(body)

    async def delete(self, path: str, **_: Any) -> dict[str, Any]:
        self.deleted.append(path)
        raise ApiError(404, "NotFound", "")


def reach(kube: FakeKube, cluster: LocalCluster | None = CLUSTER, **more: Any) -> Reach:
    return Reach(kube, cluster=cluster, **more)  # type: ignore[arg-type]


def web(replicas: int = 2, name: str = "web") -> dict[str, Any]:
    """Make a Deployment and its ReplicaSet."""
    root = "/apis/apps/v1/namespaces/shop"
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}}
    metadata = {"uid": f"uid-{name}-abc", "ownerReferences": reference("Deployment", name)}
    return {
        f"{root}/replicasets/{name}-abc": {"metadata": metadata, "spec": spec},
        f"{root}/deployments/{name}": {"metadata": {"uid": f"uid-{name}"}, "spec": spec},
    }


def node(**spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True"}]
    metadata = {"name": "worker", "uid": "uid-n", "resourceVersion": "7", "labels": {}}
    return {"metadata": metadata, "spec": spec, "status": {"conditions": conditions}}
