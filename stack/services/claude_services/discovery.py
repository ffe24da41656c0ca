"""Tell Prometheus what to scrape: Debian's build has no discovery of its own for Kubernetes, but reads files.

One file per namespace with the pods that the usual annotations name, and one with the nodes.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI, HTTPException

from claude_services import watch
from claude_services.files import AtomicFiles
from claude_services.json_objects import Json
from claude_services.settings import Settings
from claude_services.web import Service

PREFIX = "prometheus.io/"
KUBELET_PORT = 10250


def pod_targets(pods: Iterable[Json]) -> list[Json]:
    """Return a target for each running pod whose annotations ask to be scraped."""
    found = []
    for pod in pods:
        metadata, status = pod["metadata"], pod.get("status", {})
        notes = metadata.get("annotations") or {}
        if notes.get(f"{PREFIX}scrape") != "true" or status.get("phase") != "Running" or "podIP" not in status:
            continue
        labels = {
            "__metrics_path__": notes.get(f"{PREFIX}path", "/metrics"),
            "namespace": metadata["namespace"],
            "pod": metadata["name"],
            "node": pod["spec"].get("nodeName", ""),
            **{key: value for key, value in (metadata.get("labels") or {}).items() if key in ("app", "version")},
        }
        found.append({"targets": [f"{status['podIP']}:{notes.get(f'{PREFIX}port', '9090')}"], "labels": labels})
    return sorted(found, key=json.dumps)


def node_targets(nodes: Iterable[Json]) -> list[Json]:
    """Return each node's kubelet."""
    return sorted(
        (
            {"targets": [f"{address['address']}:{KUBELET_PORT}"], "labels": {"node": node["metadata"]["name"]}}
            for node in nodes
            for address in node.get("status", {}).get("addresses", [])
            if address["type"] == "InternalIP"
        ),
        key=json.dumps,
    )


class Discovery:
    """Keep Prometheus' target files equal to what runs."""

    def __init__(self, folder: Path, namespaces: list[str]) -> None:
        self._files = AtomicFiles(folder)
        self._pods: dict[str, dict[str, Json]] = {namespace: {} for namespace in namespaces}
        self._nodes: dict[str, Json] = {}

    @property
    def started(self) -> bool:
        """Whether every file was written once."""
        return self._files.count == len(self._pods) + 1

    async def run(self) -> None:
        """Watch and write until cancelled."""
        async with watch.api_client() as api, asyncio.TaskGroup() as tasks:
            for namespace, pods in self._pods.items():
                note = partial(self._write_pods, namespace)
                tasks.create_task(watch.follow(api, f"/api/v1/namespaces/{namespace}/pods", pods, note))
            tasks.create_task(watch.follow(api, "/api/v1/nodes", self._nodes, self._write_nodes))

    def _write_pods(self, namespace: str) -> None:
        self._files.replace(f"pods-{namespace}.json", json.dumps(pod_targets(self._pods[namespace].values())))

    def _write_nodes(self) -> None:
        self._files.replace("nodes.json", json.dumps(node_targets(self._nodes.values())))


def build(settings: Settings) -> Service:
    """Return the discovery as a service with health and metrics."""
    namespaces = os.environ.get("NAMESPACES", "claude-ecosystem-prod,istio-system").split(",")
    discovery = Discovery(Path(os.environ.get("TARGETS_FOLDER", "/targets")), namespaces)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with watch.kept(discovery.run()):
            yield

    service = Service(settings, lifespan=lifespan)

    @service.app.get("/health/started")
    async def started() -> dict[str, str]:
        if not discovery.started:
            raise HTTPException(503, "not every file was written yet")
        return {"status": "started"}

    return service
