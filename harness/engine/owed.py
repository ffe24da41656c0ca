"""Undo what a run still owes, whatever ended it: at once, all together, and each whatever becomes of the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import anyio
import anyio.to_thread

from harness.cluster.local import LocalCluster
from harness.engine import activities, method, traffic
from harness.engine.lease import SECONDS as LEASE_SECONDS
from harness.engine.session import Session
from harness.errors import HarnessError
from harness.keeper import container
from harness.keeper.client import Keeper
from harness.model.fault import Hand
from harness.model.plan import PlannedFault

# Docker starts a keeper that died within a second or two; one that somebody stopped is ours to start.
KEEPER_RESTART_SECONDS = 3.0
KEEPER_SECONDS = 25.0
KEEPER_RETRY_SECONDS = 0.1


async def undo(session: Session) -> None:
    """Undo everything that is still owed, all at once, and say how long an abort took to get here.

    Where the keeper is gone, only what it alone can undo waits for it.
    """
    _tell_of_abort(session)
    if session.owed:
        session.enter("heal")
        lost = session.keeper if session.keeper and session.keeper.lost.is_set() else None
        async with anyio.create_task_group() as together:
            if lost:
                together.start_soon(_undo_by_keeper, session, lost)
            for fault in list(session.owed.values()):
                if not lost or fault.hand is not Hand.HOST:
                    together.start_soon(_undo_one, session, fault)
        if lost and session.keeper and session.keeper is not lost:
            await _undo_all(session, list(session.owed.values()))
            await session.keeper.end()
    await activities.roll_back(session)
    await activities.leave(session, "experiment", deviated=session.deviated)
    await traffic.stop(session)
    _tell_of_abort(session)


def _tell_of_abort(session: Session) -> None:
    if session.abort and not session.told_of_abort:
        session.told_of_abort = True
        latency, why = time.monotonic() - session.abort.at, session.abort.reason
        session.write("abort", trigger=session.abort.trigger, why=why, latency=latency)
        session.say(f"ABORT      {why}; undo began after {latency * 1000:.0f} ms")


async def _undo_by_keeper(session: Session, lost: Keeper) -> None:
    faults = [fault for fault in session.owed.values() if fault.hand is Hand.HOST]
    await _find_keeper(session, lost)
    await _undo_all(session, faults)


async def _undo_all(session: Session, faults: Sequence[PlannedFault]) -> None:
    async with anyio.create_task_group() as together:
        for fault in faults:
            together.start_soon(_undo_one, session, fault)


async def _find_keeper(session: Session, lost: Keeper) -> None:
    """Connect anew to a keeper that gave this run up or came back from the dead: it says what it has healed."""
    assert session.cluster
    with anyio.move_on_after(KEEPER_SECONDS):
        async with anyio.create_task_group() as looking:
            looking.start_soon(_start_keeper, session, session.cluster)
            while session.keeper is lost:
                try:
                    run = f"{session.plan.run}-undo"
                    keeper = await Keeper.connect(session.cluster.keeper_socket, run, LEASE_SECONDS)
                except HarnessError:
                    await anyio.sleep(KEEPER_RETRY_SECONDS)
                else:
                    session.keeper, session.reach = keeper, replace(session.reach, keeper=keeper)
            looking.cancel_scope.cancel()


async def _start_keeper(session: Session, cluster: LocalCluster) -> None:
    """Start a keeper that has not come back by itself."""
    await anyio.sleep(KEEPER_RESTART_SECONDS)
    try:
        await anyio.to_thread.run_sync(container.ensure, cluster, session.say, abandon_on_cancel=True)
    except HarnessError as error:
        session.write("error", what="the keeper could not be started", where="", why=str(error), hint="harness up")


async def _undo_one(session: Session, fault: PlannedFault) -> None:
    try:
        if await method.undo(session, fault) and fault.id in session.injected:
            with anyio.move_on_after(method.HEAL_SECONDS):
                await method.see_healed(session, fault)
    except Exception as bug:  # one undo that breaks must not cut the others
        session.dirty[fault.id] = f"{fault.kind} on {fault.victim}: {type(bug).__name__}: {bug}"
