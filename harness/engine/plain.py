"""Walk a document without our extension in Chaos Toolkit's order: hypothesis, method, hypothesis, rollbacks.

Nothing is waited for that it did not ask for. What it breaks by a fault is planned, written down, felt and undone like
any fault; what it promises is its hypothesis, asked when its strategy says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from harness.engine import activities, method
from harness.engine.session import Session
from harness.errors import NeverBegun, ObservationFailed, first
from harness.model.strategy import AFTER, BEFORE, DURING

# By so much two questions of a hypothesis that is asked all the while lie apart.
EVERY_SECONDS = 1.0
HYPOTHESIS_SECONDS = 3600.0
Pick = Callable[[Session], Awaitable[None]]


async def phases(session: Session, pick: Pick) -> None:
    """Walk the whole document; `pick` plans its faults. Raises NeverBegun where the hypothesis does not hold before."""
    experiment = session.experiment
    session.enter("plan")
    await pick(session)
    session.enter("baseline")
    await activities.enter(session, "experiment")
    asked = experiment.strategy if experiment.probes else "skip"
    if asked in BEFORE and not await _hypothesis(session, "before"):
        raise NeverBegun("the hypothesis did not hold before the method", why="so nothing was done")
    session.enter("inject")
    session.begun = True
    await _method(session, asked in DURING)
    session.enter("hold")
    await method.feel(session, list(session.owed.values()))
    session.enter("recovery")
    if asked in AFTER:
        session.deviated = not await _hypothesis(session, "after")
    session.enter("heal")
    await method.settle(session, list(session.owed.values()), experiment.phases.recovery)
    await activities.roll_back(session)


async def _method(session: Session, asking: bool) -> None:
    if not asking:
        await method.walk(session)
        return
    over = anyio.Event()
    try:
        async with anyio.create_task_group() as beside:
            beside.start_soon(_meanwhile, session, over)
            await method.walk(session)
            over.set()
    except BaseExceptionGroup as group:
        raise first(group) from group


async def _meanwhile(session: Session, over: anyio.Event) -> None:
    while not over.is_set():
        await _hypothesis(session, "during", anyio.Event())
        with anyio.move_on_after(EVERY_SECONDS):
            await over.wait()


async def _hypothesis(session: Session, when: str, sent: anyio.Event | None = None) -> bool:
    """Ask the hypothesis up to its first miss and say whether it was met; with `sent`, beside the method's steps."""
    result = await session.worker.ask("hypothesis", deadline=HYPOTHESIS_SECONDS, sent=sent)
    if activities.interrupted(session, result):
        await anyio.lowlevel.checkpoint()
    if result["status"] != "succeeded":
        raise ObservationFailed("the hypothesis could not be asked", why=str(result.get("error") or ""))
    state = result["output"]
    for answer in state["probes"]:
        session.write("probe", when=when, **answer)
        if not answer["ok"]:
            session.say(f"probe      {answer['name']}: {answer['value']} {answer['error'] or ''}".rstrip())
    session.unanswered_probe |= when != "during" and any(answer["error"] for answer in state["probes"])
    session.write("hypothesis", when=when, met=bool(state["met"]), probes=state["probes"])
    session.say(f"HYPOTHESIS {when}: {'met' if state['met'] else 'not met'}")
    return bool(state["met"])
