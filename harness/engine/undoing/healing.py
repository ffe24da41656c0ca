"""Undo a run's faults and see the system whole again; `kubectl delete fault` asks for it, too."""

from __future__ import annotations

import time

import anyio

from harness.cluster import observe
from harness.engine.session import Session
from harness.errors import (
    ApiError,
    ClusterUnreachable,
    HarnessError,
    UndoFailed,
)
from harness.faults import FAULTS, FaultKind
from harness.hands.known import HANDS
from harness.model.plan import PlannedFault
from harness.resources import notice, resource
from harness.targets.reach import Reach

HEAL_SECONDS = 30.0
FORGET_SECONDS = 5.0
# A request that was cut on this side may still be answered on the other: an undo before that would undo nothing.
IN_FLIGHT_SECONDS = 5.0
DELETE_TRIES = 3
AGAIN_SECONDS = 0.5


async def undo(session: Session, fault: PlannedFault) -> bool:
    """Undo one fault and say whether it was seen undone; what was not stays owed."""
    kind, reach, course = FAULTS[fault.kind], session.reach, session.course(fault)
    course.look_no_more()
    operations = kind.undo(fault, reach)
    reach.note(fault).pop("unanswered", None)
    session.write("fault.heal_requested", id=fault.id)
    began, why = time.monotonic(), ""
    try:
        with anyio.fail_after(HEAL_SECONDS):
            await ask(kind, fault, reach)
            if course.unanswered and not HANDS[fault.hand].by_healer:
                await anyio.sleep(IN_FLIGHT_SECONDS)
                await ask(kind, fault, reach)
    except TimeoutError:
        why = late(fault, reach, HEAL_SECONDS)
    except HarnessError as error:
        why = str(error)
    seconds = time.monotonic() - began
    how = why or ("nothing to undo" if FAULTS[fault.kind].instant else "seen undone")
    how = "; ".join([how, *reach.note(fault).get("left", [])])
    session.write("undo", id=fault.id, ops=operations, ok=not why, how=how, seconds=seconds)
    if why:
        course.dirty = f"{fault.kind} on {fault.victim}: {why}"
        return False
    course.dirty = ""
    session.say(f"HEAL       {fault.victim}: {how} after {seconds:.2f} s")
    if operations:
        await _forget(session, fault)
    await _strike(session, fault)
    course.owed = False  # only now: one that is cut before that is to be undone again, to be struck out at all
    return True


async def ask(kind: FaultKind, fault: PlannedFault, reach: Reach) -> None:
    """Ask for the undo of a fault; an API server that does not answer, or not now, is asked again.

    Whoever calls this sets the deadline by cancelling; `late` says then what the server said last.
    """
    while True:
        try:
            await kind.heal(fault, reach)
            return
        except (ApiError, ClusterUnreachable) as error:
            if not observe.unanswered(error):
                raise
            reach.note(fault)["unanswered"] = str(error)
        await anyio.sleep(AGAIN_SECONDS)


def late(fault: PlannedFault, reach: Reach, seconds: float) -> str:
    """Say that a fault was not undone in time, and what the API server said last where it did not answer."""
    return ": ".join([f"not undone within {seconds:g} s", *filter(None, [reach.note(fault).get("unanswered")])])


async def _forget(session: Session, fault: PlannedFault) -> None:
    """Strike an undone fault off the keeper's ledger.

    A keeper that is not there to be told undoes it once more when the run ends, which changes nothing.
    """
    if session.healer.lost.is_set():
        return
    try:
        with anyio.fail_after(FORGET_SECONDS):
            await session.reach.by(fault).forget(fault.id)
    except (HarnessError, TimeoutError) as error:
        why = str(error) or f"no answer within {FORGET_SECONDS:g} s"
        session.write("error", what=f"the keeper was not told that {fault.id} is undone", where="", why=why, hint="")


async def _strike(session: Session, fault: PlannedFault) -> None:
    """Delete the fault's resource; one that stays would tell everyone that something is still broken."""
    why = ""
    session.course(fault).written = False  # its end is ours from here on, and nobody's wish
    for tries in range(DELETE_TRIES):
        try:
            await resource.delete(session.kube, fault)
        except HarnessError as error:
            why = str(error)
            await anyio.sleep(tries)
        else:
            if session.course(fault).injected:
                await notice.post(session.kube, fault, session.plan.run, "ChaosHealed")
            return
    told = f"{fault.kind} on {fault.victim} is undone, but its resource is still there: {why}"
    session.course(fault).dirty = told


async def heal_and_see(session: Session, fault: PlannedFault, within: float) -> None:
    # A pod that takes its time to go is back only after it; the limit is for what comes then.
    grace = float(session.reach.note(fault).get("grace", 0.0))
    if await undo(session, fault):
        with anyio.move_on_after(within + grace):
            await see_healed(session, fault)


async def see_healed(session: Session, fault: PlannedFault) -> None:
    """Wait until the system has what the fault took."""
    began = time.monotonic()
    try:
        evidence = await FAULTS[fault.kind].healed(fault, session.reach)
    except HarnessError as error:
        if isinstance(error, UndoFailed):
            session.course(fault).dirty = f"{fault.kind} on {fault.victim}: {error}"
        session.write("error", what=f"{fault.victim} was not seen healed", where=fault.kind, why=str(error), hint="")
        return
    session.course(fault).healed = True
    session.write("fault.healed", id=fault.id, after=time.monotonic() - began, evidence=evidence)


def patience(session: Session, fault: PlannedFault) -> float:
    """Return for how long what an abort has undone is looked at: as long as ever where more than a loss may remain."""
    whole = session.experiment.phases.recovery if FAULTS[fault.kind].remains else 0.0
    return max(whole, HEAL_SECONDS)


async def left_of(fault: PlannedFault, reach: Reach) -> str:
    """Say what is still there of a fault that is undone; empty for nothing, and where it can only be a loss."""
    remains = FAULTS[fault.kind].remains
    if remains is None:
        return ""
    try:
        with anyio.fail_after(FORGET_SECONDS):
            return await remains(fault, reach)
    except (HarnessError, TimeoutError) as error:
        return f"nobody can say what is left of it: {str(error) or f'no answer within {FORGET_SECONDS:g} s'}"


async def tell_of_remains(session: Session) -> None:
    """Look once, when the run ends, what is still there of faults that are undone and were not seen healed.

    Nobody owes them an undo any more: what is there then is left behind.
    """
    for course in list(session.courses.values()):
        if not course.injected or course.owed or course.healed or course.dirty:
            continue
        if left := await left_of(course.fault, session.reach):
            course.dirty = f"{course.fault.kind} on {course.fault.victim}: {left}"
            why, hint = "it was undone and not seen healed", "no undo is owed any more: mend what holds it up"
            session.write("error", what=course.dirty, where="", why=why, hint=hint)


async def on_deleted(session: Session, path: str) -> None:
    """Heal a fault whose resource somebody deletes from a collection: `kubectl delete fault` is an undo."""
    plural, labels = path.rpartition("/")[2], f"{resource.RUN_LABEL}={session.plan.run}"
    while True:
        try:
            known = [one.fault for one in session.courses.values() if one.owed and one.written]
            items, version = await session.kube.list_at(path, labels=labels)
            there = {item["spec"]["id"] for item in items}
            for fault in known:
                if resource.plural(fault) == plural and fault.id not in there:
                    await _deleted(session, fault)
            async for kind, item in session.kube.watch(path, labels=labels, since=version):
                found = session.owed.get(item["spec"]["id"])
                if kind == "DELETED" and found:
                    await _deleted(session, found)
        except (ApiError, ClusterUnreachable):
            await anyio.sleep(1)


async def _deleted(session: Session, fault: PlannedFault) -> None:
    if session.abort or not session.course(fault).owed:
        return  # the undo of an aborted run is on its way, and a keeper may be tidying up beside it
    scope = session.course(fault).injecting
    if scope:
        scope.cancel()  # the walk ends there, and the undo follows
    elif session.course(fault).written:
        await heal_and_see(session, fault, HEAL_SECONDS)
