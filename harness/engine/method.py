"""Walk the method: inject faults in groups, wait until they are felt, heal them, see them healed.

For each fault the order is always the same: undo on the keeper's ledger, Fault resource in the cluster, effect. So
whatever dies between two of them, somebody else knows what to heal.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import anyio

from harness.engine import activities
from harness.engine.session import Session
from harness.errors import (
    AbortTriggered,
    ApiError,
    ClusterUnreachable,
    HarnessError,
    InjectionFailed,
    UndoFailed,
    first,
)
from harness.faults import REGISTRY, notice, resource
from harness.model.catalogue import FAULTS
from harness.model.experiment import Activity
from harness.model.fault import Hand, Phase
from harness.model.plan import PlannedFault

FELT_SECONDS = 75.0
HEAL_SECONDS = 30.0
FORGET_SECONDS = 5.0
# A request that was cut on this side may still be answered on the other: an undo before that would undo nothing.
IN_FLIGHT_SECONDS = 5.0
DELETE_TRIES = 3


async def walk(session: Session) -> None:
    """Run every activity of the method in order; raises InjectionFailed when a fault cannot be injected."""
    session.method_begun = True
    async with activities.inside(session, "method"):
        if not any(activity.background for activity in session.experiment.method):
            for activity in session.experiment.method:
                await _one(session, activity)
            return
        try:
            # Left only when what runs in the background has ended, too.
            async with anyio.create_task_group() as beside:
                for activity in session.experiment.method:
                    if activity.background:
                        sent = anyio.Event()
                        beside.start_soon(_one, session, activity, sent)
                        await sent.wait()
                    else:
                        await _one(session, activity)
        except BaseExceptionGroup as group:
            raise first(group) from group


async def _one(session: Session, activity: Activity, sent: anyio.Event | None = None) -> None:
    if not activity.fault and not activity.heals:
        # Whoever runs it pauses, too, between what controls do before it and after it.
        await activities.step(session, activity, sent)
        return
    if sent:
        sent.set()
    async with activities.inside(session, "activity", activity):
        await anyio.sleep(activity.pause_before)
        if activity.fault:
            faults = [fault for fault in session.plan.faults if fault.activity == activity.fault.activity]
            await inject_in_groups(session, faults, activity.fault.target.at_once)
        else:
            owed = [fault for fault in session.owed.values() if fault.activity == activity.heals]
            await settle(session, owed, session.experiment.phases.recovery)
        await anyio.sleep(activity.pause_after)


async def feel(session: Session, faults: Sequence[PlannedFault]) -> None:
    """Wait until each fault was felt, and heal none."""
    async with anyio.create_task_group() as together:
        for fault in faults:
            together.start_soon(_feel, session, fault)


async def inject_in_groups(session: Session, faults: Sequence[PlannedFault], at_once: int) -> None:
    """Inject `at_once` faults together; before the next group, what the last one cost must be back.

    Raises InjectionFailed when it is not.
    """
    for start in range(0, len(faults), at_once):
        group = faults[start : start + at_once]
        try:
            async with anyio.create_task_group() as together:
                for fault in group:
                    together.start_soon(inject, session, fault)
        except BaseExceptionGroup as error:
            raise first(error) from error
        last = start + at_once >= len(faults)
        if not last:
            await settle(session, group, session.experiment.phases.recovery)
            hurt = [str(fault.victim) for fault in group if fault.id not in session.healed]
            if hurt:
                raise InjectionFailed(
                    "the next target is spared: the last one is not back",
                    where=", ".join(hurt),
                    why=f"not seen healed within {session.experiment.phases.recovery:g} s",
                )


async def inject(session: Session, fault: PlannedFault) -> None:
    """Inject one fault; raises InjectionFailed."""
    with anyio.CancelScope() as scope:
        session.injecting[fault.id] = scope
        try:
            await _inject(session, fault)
        finally:
            session.injecting.pop(fault.id, None)
    if scope.cancelled_caught:
        raise InjectionFailed(
            "the fault's resource was deleted while it was being injected",
            where=str(fault.victim),
            why="deleting it is asking for its undo",
        )


async def _inject(session: Session, fault: PlannedFault) -> None:
    kind, reach = REGISTRY[fault.kind], session.reach
    undo = kind.undo(fault, reach)
    try:
        if session.keeper and undo:
            await session.keeper.register(fault.id, undo)
        session.owed[fault.id] = fault
        await resource.create(session.kube, fault, session.plan.run, undo)
        session.written.add(fault.id)
        await session.guard()
        session.write("fault.injecting", id=fault.id)
        session.unanswered.add(fault.id)
        began = datetime.now(UTC)
        try:
            facts = await kind.inject(fault, reach)
        except BaseExceptionGroup as group:
            raise first(group) from group
    except AbortTriggered:
        raise
    except HarnessError as error:
        if not isinstance(error, ClusterUnreachable):
            session.unanswered.discard(fault.id)
        session.write("fault.failed", id=fault.id, error=str(error))
        raise (
            error
            if isinstance(error, InjectionFailed)
            else InjectionFailed(f"{fault.kind} could not be injected", where=str(fault.victim), why=str(error))
        ) from error
    session.unanswered.discard(fault.id)
    session.injected.add(fault.id)
    victim = fault.victim
    session.write(
        "fault.injected", id=fault.id, kind=fault.kind, victim=str(victim), container=victim.container, facts=facts
    )
    session.say(f"INJECT     {fault.kind} on {victim.shown}")
    await _status(session, fault, Phase.INJECTED, injected_at=began, applied_at=datetime.now(UTC))
    await notice.post(session.kube, fault, session.plan.run, "ChaosInjected")


async def hold(session: Session, faults: Sequence[PlannedFault]) -> None:
    """Wait until each fault was felt; what heals by itself is watched from then on, so that its window is its own."""

    async def one(fault: PlannedFault) -> None:
        await _feel(session, fault)
        if FAULTS[fault.kind].instant and fault.id in session.owed:
            await _heal_and_see(session, fault, session.experiment.phases.recovery)

    async with anyio.create_task_group() as together:
        for fault in faults:
            together.start_soon(one, fault)


async def _feel(session: Session, fault: PlannedFault) -> None:
    """Wait until a fault was felt, by evidence from outside it; one that is not is written down as such."""
    if fault.id in session.looked_for or fault.id not in session.owed:
        return
    began = time.monotonic()
    evidence = None
    why = f"nothing was seen within {FELT_SECONDS:g} s"
    try:
        with anyio.move_on_after(FELT_SECONDS):
            evidence = await REGISTRY[fault.kind].felt(fault, session.reach)
            why = why if evidence else "it changed nothing"
    except HarnessError as error:
        why = str(error)
    session.looked_for.add(fault.id)
    if evidence is None:
        session.write("fault.not_felt", id=fault.id, why=why)
        session.say(f"not felt   {fault.kind} on {fault.victim.shown}: {why}")
        return
    session.felt.add(fault.id)
    session.write("fault.felt", id=fault.id, evidence=evidence, after=time.monotonic() - began)
    session.say(f"evidence   {fault.victim}: {_short(evidence)}")
    await _status(session, fault, Phase.FELT, felt_at=datetime.now(UTC), evidence=evidence)


async def settle(session: Session, faults: Sequence[PlannedFault], within: float) -> None:
    """Feel and heal these faults and wait, at most `within` seconds, until the system has what it lost."""

    async def one(fault: PlannedFault) -> None:
        await _feel(session, fault)
        if fault.id in session.owed:
            await _heal_and_see(session, fault, within)

    async with anyio.create_task_group() as together:
        for fault in faults:
            together.start_soon(one, fault)


async def _heal_and_see(session: Session, fault: PlannedFault, within: float) -> None:
    # A pod that takes its time to go is back only after it; the limit is for what comes then.
    grace = float(session.reach.note(fault).get("grace", 0.0))
    if await undo(session, fault):
        with anyio.move_on_after(within + grace):
            await see_healed(session, fault)


async def undo(session: Session, fault: PlannedFault) -> bool:
    """Undo one fault and say whether it was seen undone; what was not stays owed."""
    kind, reach = REGISTRY[fault.kind], session.reach
    operations = kind.undo(fault, reach)
    session.write("fault.heal_requested", id=fault.id)
    began, why = time.monotonic(), ""
    try:
        with anyio.fail_after(HEAL_SECONDS):
            await kind.heal(fault, reach)
            if fault.id in session.unanswered and fault.hand is Hand.API:
                await anyio.sleep(IN_FLIGHT_SECONDS)
                await kind.heal(fault, reach)
    except TimeoutError:
        why = f"not undone within {HEAL_SECONDS:g} s"
    except HarnessError as error:
        why = str(error)
    seconds = time.monotonic() - began
    how = why or ("nothing to undo" if FAULTS[fault.kind].instant else "seen undone")
    session.write("undo", id=fault.id, ops=operations, ok=not why, how=how, seconds=seconds)
    if why:
        session.dirty[fault.id] = f"{fault.kind} on {fault.victim}: {why}"
        return False
    session.owed.pop(fault.id, None)
    session.dirty.pop(fault.id, None)
    session.say(f"HEAL       {fault.victim}: {how} after {seconds:.2f} s")
    if operations:
        await _forget(session, fault)
    await _strike(session, fault)
    return True


async def _forget(session: Session, fault: PlannedFault) -> None:
    """Strike an undone fault off the keeper's ledger.

    A keeper that is not there to be told undoes it once more when the run ends, which changes nothing.
    """
    if session.keeper is None or session.keeper.lost.is_set():
        return
    try:
        with anyio.fail_after(FORGET_SECONDS):
            await session.keeper.forget(fault.id)
    except (HarnessError, TimeoutError) as error:
        why = str(error) or f"no answer within {FORGET_SECONDS:g} s"
        session.write("error", what=f"the keeper was not told that {fault.id} is undone", where="", why=why, hint="")


async def _strike(session: Session, fault: PlannedFault) -> None:
    """Delete the fault's resource; one that stays would tell everyone that something is still broken."""
    why = ""
    for tries in range(DELETE_TRIES):
        try:
            await resource.delete(session.kube, fault)
        except HarnessError as error:
            why = str(error)
            await anyio.sleep(tries)
        else:
            if fault.id in session.injected:
                await notice.post(session.kube, fault, session.plan.run, "ChaosHealed")
            return
    session.dirty[fault.id] = f"{fault.kind} on {fault.victim} is undone, but its resource is still there: {why}"


async def on_deleted(session: Session, path: str) -> None:
    """Heal a fault whose resource somebody deletes from a collection: `kubectl delete fault` is an undo."""
    plural, labels = path.rpartition("/")[2], f"{resource.RUN_LABEL}={session.plan.run}"
    while True:
        try:
            known = [fault for fault in session.owed.values() if fault.id in session.written]
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
    if session.abort or fault.id not in session.owed:
        return  # the undo of an aborted run is on its way, and a keeper may be tidying up beside it
    scope = session.injecting.get(fault.id)
    if scope:
        scope.cancel()  # the walk ends there, and the undo follows
    else:
        await _heal_and_see(session, fault, HEAL_SECONDS)


async def see_healed(session: Session, fault: PlannedFault) -> None:
    """Wait until the system has what the fault took."""
    began = time.monotonic()
    try:
        evidence = await REGISTRY[fault.kind].healed(fault, session.reach)
    except HarnessError as error:
        if isinstance(error, UndoFailed):
            session.dirty[fault.id] = f"{fault.kind} on {fault.victim}: {error}"
        session.write("error", what=f"{fault.victim} was not seen healed", where=fault.kind, why=str(error), hint="")
        return
    session.healed.add(fault.id)
    session.write("fault.healed", id=fault.id, after=time.monotonic() - began, evidence=evidence)


async def _status(session: Session, fault: PlannedFault, phase: Phase, **more: resource.Value) -> None:
    try:
        await resource.status(session.kube, fault, phase, **more)
    except HarnessError as error:
        session.write("error", what=f"status of {fault.id} was not written", where="", why=str(error), hint="")


def _short(evidence: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in evidence.items())[:120]
