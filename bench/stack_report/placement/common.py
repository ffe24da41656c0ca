"""A namespace of the report's own, and what the stack's own is told of where its pods go."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.dying.place import Place
from bench.stack_report import site
from bench.stack_report.site import NAMESPACE, Site
from harness.cluster import paths
from harness.cluster.kube import Items, Kube
from harness.workloads.pod import is_ready

ORCHESTRATOR = "claude-orchestrator"
PODS = f"app={ORCHESTRATOR}"
REGISTRY = "claude-agent-registry"
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
POLICY = "/apis/policy/v1/namespaces/{}/poddisruptionbudgets"
FORBIDDEN, TOO_MANY, CREATED = 403, 429, 201
LOOK_SECONDS, SCRAPED_SECONDS = 0.1, 15.0
# A scheduler hears of a node's change a moment later than of the pod that is made next.
HEARD_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Ground:
    """A namespace of the report's own, and what the stack's orchestrators and their namespace are told."""

    site: Site
    spec: Mapping[str, Any]
    quota: Mapping[str, str]

    @property
    def container(self) -> Mapping[str, Any]:
        """Return the orchestrator's container."""
        return next(one for one in self.spec["containers"] if one["name"] == ORCHESTRATOR)


@contextlib.asynccontextmanager
async def ground(place: Place) -> AsyncIterator[Ground]:
    """Have a namespace, and read what the stack's own is told; whoever owns the orchestrators, their pods say it."""
    kube = place.kube
    pods = await orchestrators(kube)
    quota = await kube.get(paths.core(NAMESPACE, "resourcequotas", "claude-ecosystem-quota"))
    async with site.made(place, "placement") as here:
        yield Ground(here, pods[0]["spec"], quota["spec"]["hard"])


async def orchestrators(kube: Kube) -> Items:
    """List the stack's orchestrators that are ready and stay."""
    return [pod for pod in await kube.list(paths.pods(NAMESPACE), labels=PODS) if is_ready(pod)]


async def dry(kube: Kube, namespace: str, pod: dict[str, Any]) -> dict[str, Any]:
    """Ask for a pod as a dry run: all that may refuse or change it does, and nothing is made."""
    return await kube.create(paths.pods(namespace), pod, dryRun="All")
