"""Hold everything a run needs before it may act: no lever, an opt-in, the keeper's ear, the lease."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import anyio

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine import contexts, lever, traffic
from harness.engine.lease import SECONDS as LEASE_SECONDS
from harness.engine.lease import Lease
from harness.errors import HarnessError, PreconditionFailed
from harness.faults import crds
from harness.keeper.client import Keeper
from harness.keeper.client import status as keeper_status
from harness.model import catalogue
from harness.model.experiment import Experiment
from harness.model.fault import Hand

GOODBYE_SECONDS = 5.0


@contextlib.asynccontextmanager
async def hold(
    kube: Kube, cluster: LocalCluster | None, experiment: Experiment, identity: str
) -> AsyncIterator[tuple[Lease, Keeper | None]]:
    """Hold the right to act for as long as the block lasts; raises PreconditionFailed, or UsageError without opt-in."""
    pulled = await lever.read(kube)
    if pulled:
        raise PreconditionFailed(
            "the lever is on",
            where=kube.context,
            why=f"{pulled.get('who')}: {pulled.get('reason')}",
            hint=f"harness lever off{contexts.named(kube)}",
        )
    if experiment.load:
        traffic.require(kube, cluster, experiment.load)
    if cluster is None:
        if not await crds.installed(kube):
            raise PreconditionFailed(
                "the cluster does not know the harness's resources",
                where=kube.context,
                why="a fault is written down there before it is injected",
                hint=f"once, as an administrator: harness crds | kubectl --context {kube.context} apply -f -",
            )
        await contexts.require_opt_in(kube, experiment.blast_radius.namespaces)
        if any(catalogue.FAULTS[spec.kind].hand is not Hand.API for spec in experiment.faults):
            raise PreconditionFailed(
                "faults of the host hand need the local cluster's keeper", where=kube.context, hint="harness up"
            )
    elif (await keeper_status(cluster.keeper_socket)).get("docker") is False:
        raise PreconditionFailed(
            "the keeper does not see Docker",
            where=cluster.docker_host,
            why="it could not heal what a run that dies leaves behind",
            hint="harness up",
        )
    keeper = await Keeper.connect(cluster.keeper_socket, identity, LEASE_SECONDS) if cluster else None
    lease = Lease(kube, identity)
    try:
        await lease.acquire(holder_is_dead=keeper is not None)
        yield lease, keeper
    finally:
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(GOODBYE_SECONDS), contextlib.suppress(HarnessError):
                await lease.release()
            if keeper:
                with anyio.move_on_after(GOODBYE_SECONDS):
                    await keeper.end()
