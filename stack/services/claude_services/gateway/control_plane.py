"""Write Envoy's configuration whenever the mesh changes, each file atomically by rename."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI, HTTPException
from prometheus_client import Counter, Gauge

from claude_services import watch
from claude_services.files import AtomicFiles
from claude_services.gateway import translate
from claude_services.gateway.fields import Refused
from claude_services.gateway.mesh import Mesh
from claude_services.json_objects import Json
from claude_services.settings import Settings
from claude_services.transport import Connections, SendFailed
from claude_services.web import Service

WRITTEN = Counter("control_plane_files_written_total", "Envoy files replaced.")
REFUSED = Counter("control_plane_refused_total", "Configurations refused; the last good one stayed.")
ADDRESSES = Gauge("control_plane_addresses", "Pod addresses given to Envoy.", ["file"])
log = logging.getLogger("control_plane")


class ControlPlane:
    """Keep Envoy's files equal to the mesh."""

    def __init__(self, folder: Path, gateway: str, namespace: str) -> None:
        self._folder, self._gateway, self._namespace = folder, gateway, namespace
        self.mesh = Mesh()
        self._files = AtomicFiles(folder)
        self._changed = asyncio.Event()
        self._listed: set[str] = set()
        self.delivered = False
        """Whether Envoy once had an address; afterwards a service without pods is Envoy's to answer (503)."""

    def collections(self) -> dict[str, dict[str, Json]]:
        """Return what to watch: API path and where its objects go."""
        inside = f"namespaces/{self._namespace}"
        istio = f"/apis/networking.istio.io/v1/{inside}"
        return {
            f"{istio}/virtualservices": self.mesh.virtual_services,
            f"{istio}/destinationrules": self.mesh.destination_rules,
            f"/api/v1/{inside}/services": self.mesh.services,
            f"/apis/discovery.k8s.io/v1/{inside}/endpointslices": self.mesh.endpoint_slices,
            f"/api/v1/{inside}/pods": self.mesh.pods,
        }

    async def run(self) -> None:
        """Watch and write until cancelled."""
        async with watch.Api() as api, asyncio.TaskGroup() as tasks:
            for path, target in self.collections().items():
                tasks.create_task(watch.follow(api, path, target, partial(self._note, path)))
            tasks.create_task(self._write_forever())

    def _note(self, path: str) -> None:
        self._listed.add(path)
        if len(self._listed) == len(self.collections()):
            self._changed.set()

    async def _write_forever(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self.write()

    def write(self) -> None:
        """Replace the files that differ; a configuration that is refused changes nothing."""
        try:
            wanted = translate.files(self.mesh, gateway=self._gateway, folder=str(self._folder))
        except Refused as refusal:
            REFUSED.inc()
            log.error("configuration refused", extra={"data": {"where": refusal.where, "why": refusal.why}})
            return
        for name, text in wanted.items():
            if self._files.replace(name, text):
                WRITTEN.inc()
            if name.startswith("eds-"):
                count = translate.addresses(text)
                ADDRESSES.labels(name).set(count)
                self.delivered = self.delivered or count > 0

    @property
    def started(self) -> bool:
        """Whether Envoy has something to start from."""
        return self._files.count > 0


def build(settings: Settings) -> Service:
    """Return the control plane as a service with health and metrics."""
    plane = ControlPlane(
        Path(os.environ.get("XDS_FOLDER", "/xds")),
        gateway=os.environ.get("GATEWAY_NAME", "claude-ecosystem-gateway"),
        namespace=os.environ.get("MESH_NAMESPACE", "claude-ecosystem-prod"),
    )
    admin = Connections(os.environ.get("ENVOY_ADMIN", "http://127.0.0.1:9901"))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with watch.kept(plane.run()):
            yield
        await admin.close()

    async def ready() -> str:
        if not plane.delivered:
            return "no address was ever given to Envoy"
        try:
            answer = await admin.send("GET", "/ready", {}, None, 2)
        except SendFailed as error:
            return f"Envoy does not answer: {error}"
        return "" if answer.status == 200 else f"Envoy is not ready: {answer.body.decode(errors='replace').strip()}"

    service = Service(settings, lifespan=lifespan, ready=ready)

    @service.app.get("/health/started")
    async def started() -> dict[str, str]:
        if not plane.started:
            raise HTTPException(503, "no configuration was written yet")
        return {"status": "started"}

    return service
