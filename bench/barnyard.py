"""Workloads of every kind for the sweep, and an oracle that looks at nothing but what the API server lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from harness.cluster.kube import Kube
from harness.errors import ApiError, ClusterUnreachable

Object = dict[str, Any]
GROUP = "barnyard.example"
SERVER = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
LABELS = {"app": "swept"}
COUNT = 2
ROOTS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "ReplicationController": "/api/v1/namespaces/{}/replicationcontrollers",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Ox": f"/apis/{GROUP}/v1/namespaces/{{}}/oxen",
    "Goose": f"/apis/{GROUP}/v1/namespaces/{{}}/geese",
    "Pod": "/api/v1/namespaces/{}/pods",
}
CUSTOM = {"Ox": "oxen", "Goose": "geese"}
# Every shape of a budget, and what two of them on one pod do.
SHAPES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "none": (),
    "min 1": ({"minAvailable": 1},),
    "min all": ({"minAvailable": "100%"},),
    "min 50%": ({"minAvailable": "50%"},),
    "max 1": ({"maxUnavailable": 1},),
    "max 0": ({"maxUnavailable": 0},),
    "always": ({"minAvailable": COUNT, "unhealthyPodEvictionPolicy": "AlwaysAllow"},),
    "two": ({"minAvailable": 1}, {"maxUnavailable": 1}),
}


def pod(image: str, kind: str) -> Object:
    """Make the spec of a pod that is Ready two seconds after its start."""
    container = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", SERVER],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "initialDelaySeconds": 2},
        "resources": {"requests": {"cpu": "2m", "memory": "16Mi"}},
    }
    policy = {"restartPolicy": "OnFailure"} if kind == "Job" else {}
    if kind == "Job":
        # One that ended well when it was told to go would be done, and wanted no more.
        container["command"] = ["python3", "-u", "-c", SERVER.replace("exit(0)", "exit(1)")]
    return {"terminationGracePeriodSeconds": 1, "containers": [container], **policy}


def workload(kind: str, image: str) -> Object:
    """Make one workload of a kind, named `swept`."""
    root = ROOTS[kind].removeprefix("/apis/").removeprefix("/api/")
    api, spec = root.partition("/namespaces/")[0], pod(image, kind)
    made: Object = {"apiVersion": api, "kind": kind, "metadata": {"name": "swept", "labels": LABELS}}
    if kind == "Pod":
        return made | {"spec": spec}
    if kind in CUSTOM:
        return made | {"spec": {"replicas": COUNT}}
    body: Object = {"template": {"metadata": {"labels": LABELS}, "spec": spec}}
    if kind == "Job":
        return made | {"spec": {**body, "parallelism": COUNT, "completions": COUNT, "backoffLimit": 20}}
    body["selector"] = LABELS if kind == "ReplicationController" else {"matchLabels": LABELS}
    if kind != "DaemonSet":
        body["replicas"] = COUNT
    if kind == "StatefulSet":
        body |= {"serviceName": "swept", "podManagementPolicy": "Parallel"}
    return made | {"spec": body}


def definitions() -> list[Object]:
    """Make two resources with irregular plurals, one with a scale and one that says nothing of its pods."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    found = []
    for kind, plural in CUSTOM.items():
        version: Object = {"name": "v1", "served": True, "storage": True, "schema": schema}
        if kind == "Goose":
            paths = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
            version["subresources"] = {"status": {}, "scale": paths}
        names = {"kind": kind, "plural": plural, "singular": kind.lower()}
        spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
        found.append(
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{plural}.{GROUP}"},
                "spec": spec,
            }
        )
    return found


async def herd(kube: Kube, namespace: str, owner: Object, image: str) -> None:
    """Keep the pods of a custom resource, as its controller would, until cancelled."""
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "controller": True}
    metadata = {"generateName": "swept-", "labels": LABELS, "ownerReferences": [reference]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod(image, owner["kind"])}
    while True:
        try:
            found = await kube.list(f"/api/v1/namespaces/{namespace}/pods")
            for _ in range(COUNT - sum(not one["metadata"].get("deletionTimestamp") for one in found)):
                await kube.create(f"/api/v1/namespaces/{namespace}/pods", body)
        except (ApiError, ClusterUnreachable):
            pass
        await anyio.sleep(0.2)


async def ready(kube: Kube, namespace: str) -> dict[str, Object]:
    """List by UID the pods that are Ready and stay: one workload is all there is in its namespace."""
    found = await kube.list(f"/api/v1/namespaces/{namespace}/pods")
    return {
        one["metadata"]["uid"]: one
        for one in found
        if not one["metadata"].get("deletionTimestamp")
        and any(c["type"] == "Ready" and c["status"] == "True" for c in one["status"].get("conditions") or ())
    }


async def would_evict(kube: Kube, victim: Object) -> int:
    """Ask the eviction API for its answer, as a dry run."""
    metadata = {key: victim["metadata"][key] for key in ("name", "namespace")}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": {"dryRun": ["All"]}}
    try:
        await kube.create(
            f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction", body, dryRun="All"
        )
    except ApiError as error:
        return error.status
    return 201
