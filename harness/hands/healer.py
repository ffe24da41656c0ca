"""Who remembers what a run does, and undoes it when the run's own process cannot: the keeper, or nobody."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.to_thread

from harness.cluster.local import LocalCluster
from harness.errors import HarnessError, PreconditionFailed, RunInProgress
from harness.keeper import container
from harness.keeper.client import Keeper, status
from harness.model.fault import Undo

# Docker starts a keeper that died within a second or two; one that somebody stopped is ours to start.
RESTART_SECONDS = 3.0
RETRY_SECONDS = 0.1
# Where the keeper of another cluster listens.
NAMED = "HARNESS_KEEPER"


class Healer(Protocol):
    """Who heals what a run leaves behind; one that `heals` nothing remembers nothing.

    One that is the cluster's `own` knows of every run there, so that whom it does not know is dead, and undoes what was
    asked of the API server as well. `lost` is set when it does not answer this run any more.
    """

    heals: bool
    own: bool
    lost: anyio.Event

    async def register(self, fault_id: str, undo_ops: Undo) -> None:
        """Remember how a fault is undone, before it is done."""
        ...

    async def heal(self, fault_id: str) -> Any:
        """Undo a fault as it was registered, and see it undone; raises UndoFailed."""
        ...

    async def forget(self, fault_id: str) -> None:
        """Strike a fault off: there is nothing to undo any more."""
        ...

    async def beat(self) -> None:
        """Say that the run is alive; raises AbortTriggered when nobody hears it."""
        ...

    async def end(self) -> None:
        """End the run in good order."""
        ...


class Nobody:
    """No healer: what this process does is its own to undo."""

    heals = False
    own = False

    def __init__(self) -> None:
        self.lost = anyio.Event()

    async def register(self, fault_id: str, undo_ops: Undo) -> None:
        """Remember nothing."""

    async def heal(self, fault_id: str) -> None:
        """Raise PreconditionFailed: there is nobody."""
        raise needed()

    async def forget(self, fault_id: str) -> None:
        """Forget nothing."""

    async def beat(self) -> None:
        """Say it to nobody."""

    async def end(self) -> None:
        """End nothing."""


def needed() -> PreconditionFailed:
    """Say that a fault cannot be made where nobody would undo it."""
    return PreconditionFailed(
        "this fault needs the keeper",
        why="it is done, and undone when the run dies, on the side of the node containers",
        hint=f"run it on the local cluster: `harness up`; elsewhere {NAMED} names the socket of `harness keeper`",
    )


def place(cluster: LocalCluster | None) -> Path | None:
    """Return where the keeper of a cluster listens; None where there is none."""
    if cluster:
        return cluster.keeper_socket
    named = os.environ.get(NAMED)
    return Path(named) if named else None


async def ready(cluster: LocalCluster | None) -> None:
    """Return when the healer of a cluster can do its work; raises PreconditionFailed."""
    if cluster and (await status(cluster.keeper_socket)).get("docker") is False:
        raise PreconditionFailed(
            "the keeper does not see Docker",
            where=cluster.docker_host,
            why="it could not heal what a run that dies leaves behind",
            hint="harness up",
        )


async def begin(cluster: LocalCluster | None, run: str, lease_seconds: float) -> Healer:
    """Begin a run with the healer of its cluster; raises RunInProgress and PreconditionFailed."""
    socket = place(cluster)
    if socket is None:
        return Nobody()
    keeper = await Keeper.connect(socket, run, lease_seconds)
    # Whoever runs from another machine has another keeper there, or none.
    keeper.own = cluster is not None
    return keeper


async def started(cluster: LocalCluster | None, run: str, lease_seconds: float, say: Callable[[str], None]) -> Healer:
    """Begin a run with the healer of its cluster, and start one that is away."""
    try:
        return await begin(cluster, run, lease_seconds)
    except RunInProgress:
        raise
    except PreconditionFailed:
        if cluster is None:
            raise
        await anyio.to_thread.run_sync(container.ensure, cluster, say)
        return await begin(cluster, run, lease_seconds)


async def again(
    cluster: LocalCluster | None,
    run: str,
    lease_seconds: float,
    say: Callable[[str], None],
    failed: Callable[[str], None],
) -> Healer:
    """Begin anew with a healer that gave its run up or came back from the dead; ours is started where it stays away.

    It is waited for as long as it takes: the caller sets the deadline by cancelling. `failed` is told why it could not
    be started.
    """

    async def start(cluster: LocalCluster) -> None:
        await anyio.sleep(RESTART_SECONDS)
        try:
            await anyio.to_thread.run_sync(container.ensure, cluster, say, abandon_on_cancel=True)
        except HarnessError as error:
            failed(str(error))

    async with anyio.create_task_group() as looking:
        if cluster:
            looking.start_soon(start, cluster)
        found = await _found(cluster, run, lease_seconds)
        looking.cancel_scope.cancel()
    return found


async def _found(cluster: LocalCluster | None, run: str, lease_seconds: float) -> Healer:
    while True:
        try:
            return await begin(cluster, run, lease_seconds)
        except HarnessError:
            await anyio.sleep(RETRY_SECONDS)
