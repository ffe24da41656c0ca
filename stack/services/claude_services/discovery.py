"""Tell Prometheus what to scrape: Debian's build has no discovery of its own for Kubernetes, but reads files.

One file per namespace with the pods that the usual annotations name, and one with the nodes.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI, HTTPException

from claude_services import watch
from claude_services.files import AtomicFiles
from claude_services.json_objects import Json
from claude_services.settings import Settings
from claude_services.targets import node_targets, pod_targets
from claude_services.web import Service


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
        async with watch.Api() as api, asyncio.TaskGroup() as tasks:
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
