"""The local cluster as something that is struck again and again: made fit before, compared after."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
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
from harness.errors import HarnessError, ObservationFailed, PreconditionFailed
from harness.keeper import container
from harness.stack import apply as stack
from harness.stack import ready, renew
from harness.workloads.pod import is_going, is_ready

SYSTEM, AGENTS = "chaos-system", "app.kubernetes.io/name=chaos-agent"
WHOLE_SECONDS, STEADY_SECONDS = 300.0, 240.0
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 1.0
# $1 the container, $2 its limit. A kubelet limits the processes of all pods of its node or of none, so here it is done
# in its place: without a limit no agent takes up what there is of processes.
_FEW = 'for file in $(find /sys/fs/cgroup -path "*$1*" -name pids.max); do echo "$2" > "$file" || exit; done'
CROWDED, FEW = "pod_pids", "60"


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

        What earlier commands left of their own is removed, besides one namespace. Raises HarnessError, TimeoutError.
        """
        await anyio.to_thread.run_sync(container.ensure, self.cluster, _quiet)
        await undo.undo(self.kube, self.cluster, _quiet)
        await workload.forgotten(self.kube, besides)
        await workload.renew(self.kube, SYSTEM, AGENTS)
        await self._renew_stack()
        await _nothing(self._lacking, WHOLE_SECONDS, "agents and stack are not whole")

    async def _lacking(self) -> list[str]:
        """Name the agents and the workloads of the stack that are not there; without agents there is none to name."""
        agents, nodes = await self.agents(), len(await self.kube.list(paths.nodes()))
        live = sum(is_ready(pod) and not is_going(pod) for pod in agents)
        found = [f"{live} of {nodes} agents are ready"] if agents and not live == len(agents) == nodes else []
        for item in await self._deployments():
            if not ready.rolled_out(item, item["spec"].get("replicas", 1)):
                found.append(f"{item['metadata']['namespace']}/{item['metadata']['name']} is not complete")
        return found

    async def _deployments(self) -> Items:
        namespaces = stack.workloads(await stack.inventory(self.kube))
        return [item for one in namespaces for item in await self.kube.list(paths.deployments(one))]

    async def _renew_stack(self) -> None:
        """Replace the stack's pods that were struck so often that a kubelet would start them again late."""
        found = [{**item, "apiVersion": "apps/v1", "kind": "Deployment"} for item in await self._deployments()]
        await renew.pods_in_back_off(self.kube, self.cluster, found, _quiet)

    async def suit(self, fault: str, namespace: str) -> None:
        """Give the web servers what a fault needs of its target and this cluster gives to no pod."""
        pods = await self.kube.list(paths.pods(namespace), labels=workload.SELECTOR) if fault == CROWDED else []
        for pod in pods:
            for one in pod["status"]["containerStatuses"]:
                words = ("sh", "-c", _FEW, "sh", str(one["containerID"]).rpartition("/")[2], FEW)
                await self.docker("exec", self.cluster.nodes[pod["spec"]["nodeName"]], *words)

    async def steady(self) -> dict[str, str]:
        """Return the fingerprint once every node is whole and nothing is written down; raises ObservationFailed."""
        found: dict[str, str] = {}

        async def look() -> list[str]:
            found.clear()
            found.update(await self.fingerprint())
            return amiss(found)

        await _nothing(look, STEADY_SECONDS, "the cluster is not as it should be")
        return found

    async def unlike(self, before: Mapping[str, str], seconds: float) -> list[str]:
        """Wait until the fingerprint equals the one before, and return what does not when the time is over."""
        return await _left(lambda: self.difference(before), seconds)

    async def difference(self, before: Mapping[str, str]) -> list[str]:
        """Name what is not as before; raises HarnessError where it cannot be asked."""
        return fingerprint.difference(before, await self.fingerprint())


def pause(least: float, took: float) -> float:
    """Return how long to wait after a look that took so long: as long again, and whoever heals has the machine, too.

    One that took longer waited for an answer, and had the machine from nobody.
    """
    return max(least, min(took, LONGEST_PAUSE_SECONDS))


async def _nothing(look: Callable[[], Awaitable[list[str]]], seconds: float, what: str) -> None:
    """Wait until a look finds nothing amiss; raises ObservationFailed with what it found at last."""
    if left := await _left(look, seconds):
        raise ObservationFailed(what, why=f"after {seconds:g} s: {'; '.join(left)}")


async def _left(look: Callable[[], Awaitable[list[str]]], seconds: float) -> list[str]:
    """Look until nothing is left, and return what is when the time is over; no answer is something, too."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        try:
            left = await look()
        except HarnessError as error:
            left = [error.what]
        if not left or time.monotonic() > deadline:
            return left
        await anyio.sleep(pause(PAUSE_SECONDS, time.monotonic() - began))


def amiss(lines: Mapping[str, str]) -> list[str]:
    """Name what a cluster must not be begun with: a node that is not as it should be, a fault that is written down."""
    right = {"ready": "True", "conditions": "", "state": "running", "residue": "", "cordoned": "false"}
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
