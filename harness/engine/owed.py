"""Undo what a run still owes, whatever ended it: at once, all together, and each whatever becomes of the others."""

from __future__ import annotations

import time
from dataclasses import replace

import anyio

from harness.engine import activities, method, traffic
from harness.engine.lease import SECONDS as LEASE_SECONDS
from harness.engine.session import Session
from harness.errors import HarnessError
from harness.keeper.client import Keeper
from harness.model.plan import PlannedFault

KEEPER_SECONDS = 25.0
KEEPER_RETRY_SECONDS = 0.1


async def undo(session: Session) -> None:
    """Undo everything that is still owed, all at once, and say how long an abort took to get here."""
    _tell_of_abort(session)
    if session.owed:
        session.enter("heal")
        lost = session.keeper if session.keeper and session.keeper.lost.is_set() else None
        if lost:
            await _find_keeper(session, lost)
        async with anyio.create_task_group() as together:
            for fault in list(session.owed.values()):
                together.start_soon(_undo_one, session, fault)
        if lost and session.keeper and session.keeper is not lost:
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


async def _find_keeper(session: Session, lost: Keeper) -> None:
    """Connect anew to a keeper that gave this run up or came back from the dead: it says what it has healed."""
    assert session.cluster
    with anyio.move_on_after(KEEPER_SECONDS):
        while session.keeper is lost:
            try:
                keeper = await Keeper.connect(session.cluster.keeper_socket, f"{session.plan.run}-undo", LEASE_SECONDS)
            except HarnessError:
                await anyio.sleep(KEEPER_RETRY_SECONDS)
            else:
                session.keeper, session.reach = keeper, replace(session.reach, keeper=keeper)


async def _undo_one(session: Session, fault: PlannedFault) -> None:
    try:
        if await method.undo(session, fault) and fault.id in session.injected:
            with anyio.move_on_after(method.HEAL_SECONDS):
                await method.see_healed(session, fault)
    except Exception as bug:  # one undo that breaks must not cut the others
        session.dirty[fault.id] = f"{fault.kind} on {fault.victim}: {type(bug).__name__}: {bug}"
