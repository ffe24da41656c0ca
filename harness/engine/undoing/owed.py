"""Undo what a run still owes, whatever ended it: at once, all together, and each whatever becomes of the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import anyio

from harness.engine import activities
from harness.engine.lease import SECONDS as LEASE_SECONDS
from harness.engine.session import Session
from harness.engine.undoing import healing
from harness.engine.watching import traffic
from harness.hands import healer as healers
from harness.hands.known import HANDS
from harness.model.plan import PlannedFault

HEALER_SECONDS = 25.0


async def undo(session: Session) -> None:
    """Undo everything that is still owed, all at once, and say how long an abort took to get here.

    Where the healer is gone, only what it alone can undo waits for it.
    """
    _tell_of_abort(session)
    if session.owed:
        session.enter("heal")
        lost = session.healer if session.healer.lost.is_set() else None
        async with anyio.create_task_group() as together:
            if lost:
                together.start_soon(_undo_by_healer, session)
            for fault in list(session.owed.values()):
                if not lost or not HANDS[fault.hand].by_healer:
                    together.start_soon(_undo_one, session, fault)
        if lost and session.healer is not lost:
            await _undo_all(session, list(session.owed.values()))
            await session.healer.end()
    await activities.roll_back(session)
    await activities.leave(session, "experiment", deviated=session.deviated)
    await traffic.stop(session)
    await healing.tell_of_remains(session)
    _tell_of_abort(session)


def _tell_of_abort(session: Session) -> None:
    if session.abort and not session.told_of_abort:
        session.told_of_abort = True
        latency, why = time.monotonic() - session.abort.at, session.abort.reason
        session.write("abort", trigger=session.abort.trigger, why=why, latency=latency)
        session.say(f"ABORT      {why}; undo began after {latency * 1000:.0f} ms")


async def _undo_by_healer(session: Session) -> None:
    faults = [fault for fault in session.owed.values() if HANDS[fault.hand].by_healer]
    await _find_healer(session)
    await _undo_all(session, faults)


async def _undo_all(session: Session, faults: Sequence[PlannedFault]) -> None:
    async with anyio.create_task_group() as together:
        for fault in faults:
            together.start_soon(_undo_one, session, fault)


async def _find_healer(session: Session) -> None:
    """Connect anew to the healer: it says what it has healed."""

    def failed(why: str) -> None:
        session.write("error", what="the keeper could not be started", where="", why=why, hint="harness up")

    with anyio.move_on_after(HEALER_SECONDS):
        run = f"{session.plan.run}-undo"
        healer = await healers.again(session.cluster, run, LEASE_SECONDS, session.say, failed)
        session.healer, session.reach = healer, replace(session.reach, healer=healer)


async def _undo_one(session: Session, fault: PlannedFault) -> None:
    try:
        if await healing.undo(session, fault) and session.course(fault).injected:
            with anyio.move_on_after(healing.patience(session, fault)):
                await healing.see_healed(session, fault)
    except Exception as bug:  # one undo that breaks must not cut the others
        session.course(fault).dirty = f"{fault.kind} on {fault.victim}: {type(bug).__name__}: {bug}"
