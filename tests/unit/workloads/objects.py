"""An API server with workloads of every kind, as far as the room asks."""

from __future__ import annotations

from typing import Any

from harness.errors import ApiError

Object = dict[str, Any]


def served(*resources: tuple[str, str], cluster: tuple[str, ...] = (), scaled: tuple[str, ...] = ()) -> Object:
    """Answer what one version of a group serves: (plural, kind), and which of them have a scale."""
    items = [{"name": plural, "kind": kind, "namespaced": plural not in cluster} for plural, kind in resources]
    return {"resources": [*items, *({"name": f"{plural}/scale", "kind": "Scale"} for plural in scaled)]}


SERVED = {
    "/api/v1": served(
        ("pods", "Pod"),
        ("replicationcontrollers", "ReplicationController"),
        ("nodes", "Node"),
        cluster=("nodes",),
    ),
    "/apis/apps/v1": served(
        ("replicasets", "ReplicaSet"),
        ("deployments", "Deployment"),
        ("statefulsets", "StatefulSet"),
        ("daemonsets", "DaemonSet"),
        scaled=("replicasets", "deployments", "statefulsets"),
    ),
    "/apis/batch/v1": served(("jobs", "Job")),
    "/apis/argoproj.io/v1alpha1": served(("rollouts", "Rollout"), scaled=("rollouts",)),
    "/apis/farm.example/v1": served(("kine", "Cow"), ("geese", "Goose"), scaled=("geese",)),
    "/apis/farm.example": {"preferredVersion": {"groupVersion": "farm.example/v1"}},
}  # fmt: skip
PATHS = {
    "Pod": ("v1", "/api/v1/namespaces/shop/pods"),
    "ReplicationController": ("v1", "/api/v1/namespaces/shop/replicationcontrollers"),
    "Node": ("v1", "/api/v1/nodes"),
    "ReplicaSet": ("apps/v1", "/apis/apps/v1/namespaces/shop/replicasets"),
    "Deployment": ("apps/v1", "/apis/apps/v1/namespaces/shop/deployments"),
    "StatefulSet": ("apps/v1", "/apis/apps/v1/namespaces/shop/statefulsets"),
    "DaemonSet": ("apps/v1", "/apis/apps/v1/namespaces/shop/daemonsets"),
    "Job": ("batch/v1", "/apis/batch/v1/namespaces/shop/jobs"),
    "Rollout": ("argoproj.io/v1alpha1", "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts"),
    "Cow": ("farm.example/v1", "/apis/farm.example/v1/namespaces/shop/kine"),
    "Goose": ("farm.example/v1", "/apis/farm.example/v1/namespaces/shop/geese"),
}


class Server:
    """Objects by their path; `hidden` paths are forbidden."""

    def __init__(self, *objects: Object, hidden: tuple[str, ...] = ()) -> None:
        self.objects = {path(item): item for item in objects}
        self.hidden, self.asked = hidden, list[str]()

    async def get(self, where: str, **_: Any) -> Object:
        self.asked.append(where)
        if where in self.hidden:
            raise ApiError(403, "Forbidden", "", where=where)
        found = SERVED.get(where) or self.objects.get(where)
        if found is None:
            raise ApiError(404, "NotFound", "", where=where)
        return found


def path(item: Object) -> str:
    """Return where an object is read."""
    return f"{PATHS[item['kind']][1]}/{item['metadata']['name']}"


def reference(kind: str, name: str, *, controller: bool = True, api: str = "", uid: str = "") -> Object:
    """Make a reference to an owner, whose UID is its name unless said otherwise."""
    api = api or PATHS[kind][0]
    return {"apiVersion": api, "kind": kind, "name": name, "uid": uid or f"uid-{name}", "controller": controller}


def item(kind: str, name: str, *owners: Object, spec: Object | None = None, **status: Any) -> Object:
    """Make an object of a kind."""
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "ownerReferences": list(owners)}
    return {"kind": kind, "metadata": {**metadata, "generation": 1}, "spec": spec or {}, "status": status}


def pod(name: str, *owners: Object, ready: bool = True, going: bool = False, **spec: Any) -> Object:
    """Make a pod that these own."""
    made = item("Pod", name, *owners, spec={"containers": [{"name": "c"}], **spec})
    made["status"]["conditions"] = [{"type": "Ready", "status": str(ready)}]
    if going:
        made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return made
