"""The local cluster as something that is struck again and again: made fit before, compared after."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass

import anyio
import anyio.to_thread

from bench.dying import workload
from harness.cluster import docker, local, paths
from harness.cluster.kube import Items, Kube
from harness.cluster.local import LocalCluster
from harness.engine.preflight.scope import Scope
from harness.engine.undoing import fingerprint, undo
from harness.engine.undoing.fingerprint import WRITTEN
from harness.errors import HarnessError, PreconditionFailed
from harness.keeper import container
from harness.stack import apply as stack
from harness.stack import renew
from harness.workloads.pod import is_going, is_ready

SYSTEM, AGENTS = "chaos-system", "app.kubernetes.io/name=chaos-agent"
AGENTS_SECONDS, STEADY_SECONDS = 120.0, 240.0
PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Place:
    """The local cluster, and a client of it."""

    cluster: LocalCluster
    kube: Kube

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a Docker client of this cluster needs."""
        return {**os.environ, **docker.environment(self.cluster.docker_host)}

    async def docker(self, *words: str) -> str:
        """Run one short Docker command; raises PreconditionFailed."""
        host = self.cluster.docker_host
        return await anyio.to_thread.run_sync(lambda: docker.docker(host, *words), abandon_on_cancel=True)

    async def fingerprint(self, only: Collection[str] = ()) -> dict[str, str]:
        """Take the fingerprint, or some of its lines."""
        return await fingerprint.take(self.kube, self.cluster, Scope(), only)

    async def agents(self) -> Items:
        """List the agents' pods; none where there are no agents."""
        return await self.kube.list(paths.pods(SYSTEM), labels=AGENTS)

    async def fit(self, besides: str = "") -> None:
        """Make the cluster as it is to be found: a keeper, nothing broken, agents and stack that start again at once.

        What earlier commands left of their own is removed, besides one namespace. Raises UndoFailed, TimeoutError.
        """
        await anyio.to_thread.run_sync(container.ensure, self.cluster, _quiet)
        await undo.undo(self.kube, self.cluster, _quiet)
        await workload.forgotten(self.kube, besides)
        await workload.renew(self.kube, SYSTEM, AGENTS)
        await self._renew_stack()
        nodes = len(await self.kube.list(paths.nodes()))

        async def whole() -> bool:
            found = await self.agents()
            return not found or (len(found) == nodes and all(is_ready(pod) and not is_going(pod) for pod in found))

        await workload.until(whole, AGENTS_SECONDS)

    async def _renew_stack(self) -> None:
        """Replace the stack's pods that were struck so often that a kubelet would start them again late."""
        for namespace in stack.workloads(await stack.inventory(self.kube)):
            found = await self.kube.list(paths.deployments(namespace))
            whole = [{**item, "apiVersion": "apps/v1", "kind": "Deployment"} for item in found]
            await renew.pods_in_back_off(self.kube, self.cluster, whole, _quiet)

    async def steady(self) -> dict[str, str]:
        """Return the fingerprint once every node is whole and nothing is written down; raises TimeoutError."""
        with anyio.fail_after(STEADY_SECONDS):
            while True:
                with contextlib.suppress(HarnessError):
                    found = await self.fingerprint()
                    if not amiss(found):
                        return found
                await anyio.sleep(PAUSE_SECONDS)

    async def unlike(self, before: Mapping[str, str], seconds: float) -> list[str]:
        """Wait until the fingerprint equals the one before, and return what does not when the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            left = await self.difference(before)
            if not left or time.monotonic() > deadline:
                return left
            await anyio.sleep(PAUSE_SECONDS)

    async def difference(self, before: Mapping[str, str]) -> list[str]:
        """Name what is not as before; that it cannot be asked is a line, too."""
        try:
            return fingerprint.difference(before, await self.fingerprint())
        except HarnessError as error:
            return [error.what]


def amiss(lines: Mapping[str, str]) -> list[str]:
    """Name what a cluster must not be begun with: a node that is not as it should be, a fault that is written down."""
    right = {"ready": "True", "state": "running", "residue": "", "cordoned": "false"}
    nodes = {key: key.rpartition("/")[2] for key in lines if key.startswith(("node/", "container/"))}
    wrong = [key for key, what in nodes.items() if what in right and lines[key] != right[what]]
    return [*wrong, *(key for key in lines if key.startswith((*WRITTEN[:2], "unseen/")))]


@contextlib.asynccontextmanager
async def found() -> AsyncIterator[Place]:
    """Connect to the local cluster; raises PreconditionFailed where there is none."""
    cluster = local.current()
    if cluster is None:
        raise PreconditionFailed("there is no local cluster", hint="harness up")
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        yield Place(cluster, kube)


def _quiet(line: str) -> None:
    """Keep what takes its time to itself: a cell is one line."""
