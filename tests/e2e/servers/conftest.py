"""Two web servers of the tests' own, made once for all that is broken on them, and who breaks it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from bench.dying import workload as servers
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.keeper import container
from harness.keeper.client import Keeper
from harness.targets.reach import Reach
from tests.e2e import namespaces
from tests.e2e.undoing import WAYS, Undo
from tests.e2e.victims import LEASE_SECONDS, NAMESPACE, RENEW_SECONDS, held, settled


@pytest.fixture(scope="package")
def workload(cluster: LocalCluster, image: str) -> Iterator[LocalCluster]:
    """Two web servers on two nodes, with a budget that lets one go."""
    container.ensure(cluster, print)

    async def make() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await namespaces.gone(kube, NAMESPACE)
            await servers.make(kube, NAMESPACE, image)

    async def remove() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await namespaces.emptied(kube, NAMESPACE)

    anyio.run(make)
    yield cluster
    anyio.run(remove)


@pytest.fixture
async def kube(workload: LocalCluster) -> AsyncIterator[Kube]:
    async with Kube.connect(workload.kubeconfig, workload.context) as kube:
        await settled(kube)
        yield kube


@pytest.fixture
async def reach(workload: LocalCluster, kube: Kube) -> AsyncIterator[Reach]:
    keeper = await Keeper.connect(workload.keeper_socket, f"test-{time.monotonic_ns()}", LEASE_SECONDS)
    observed: list[tuple[str, dict[str, Any]]] = []
    async with anyio.create_task_group() as group:

        async def beat() -> None:
            while True:
                await keeper.beat()
                await anyio.sleep(RENEW_SECONDS)

        group.start_soon(beat)
        reach = Reach(kube, keeper, workload, emit=lambda kind, data: observed.append((kind, data)))
        reach.notes["observed"] = {"events": observed}
        yield reach
        group.cancel_scope.cancel()
    await keeper.end()


@pytest.fixture
async def leased(reach: Reach) -> AsyncIterator[Reach]:
    """Hold the Lease as the engine does: agents heal what nobody renews."""
    assert isinstance(reach.healer, Keeper)
    async with held(reach.kube, reach.healer.run):
        yield reach


@pytest.fixture(params=WAYS, ids=lambda one: one.__name__)
def undone(request: pytest.FixtureRequest) -> Undo:
    found: Undo = request.param
    return found
