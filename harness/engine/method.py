"""Walk the method: inject faults in groups, wait until they are felt, heal them, see them healed.

For each fault the order is always the same: undo on the keeper's ledger, Fault resource in the cluster, effect. So
whatever dies between two of them, somebody else knows what to heal.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import anyio

from harness.engine.session import Session
from harness.errors import AbortTriggered, ApiError, ClusterUnreachable, HarnessError, InjectionFailed
from harness.faults import REGISTRY, resource
from harness.model.experiment import Activity
from harness.model.fault import Phase
from harness.model.plan import PlannedFault

FELT_SECONDS = 75.0
HEAL_SECONDS = 30.0
STEP_SECONDS = 120.0


async def walk(session: Session) -> None:
    """Run every activity of the method in order; raises InjectionFailed when a fault cannot be injected."""
    for activity in session.experiment.method:
        await anyio.sleep(activity.pause_before)
        if activity.fault:
            faults = [fault for fault in session.plan.faults if fault.activity == activity.name]
            await inject_in_groups(session, faults, activity.fault.target.at_once)
        else:
            await step(session, activity)
        await anyio.sleep(activity.pause_after)


async def inject_in_groups(session: Session, faults: Sequence[PlannedFault], at_once: int) -> None:
    """Inject `at_once` faults together; before the next group, what the last one cost must be back."""
    for start in range(0, len(faults), at_once):
        group = faults[start : start + at_once]
        async with anyio.create_task_group() as together:
            for fault in group:
                together.start_soon(inject, session, fault)
        last = start + at_once >= len(faults)
        if not last:
            await settle(session, group, session.experiment.phases.recovery)


async def inject(session: Session, fault: PlannedFault) -> None:
    """Inject one fault; raises InjectionFailed."""
    kind, reach = REGISTRY[fault.kind], session.reach
    undo = kind.undo(fault, reach)
    try:
        if session.keeper and undo:
            await session.keeper.register(fault.id, undo)
        session.owed[fault.id] = fault
        await resource.create(session.kube, fault, session.plan.run, undo)
        await session.guard()
        at = session.journal.now()
        facts = await kind.inject(fault, reach)
    except (AbortTriggered, anyio.get_cancelled_exc_class()):
        raise
    except HarnessError as error:
        session.write("fault.failed", id=fault.id, error=str(error))
        raise (
            error
            if isinstance(error, InjectionFailed)
            else InjectionFailed(f"{fault.kind} could not be injected", where=str(fault.victim), why=str(error))
        ) from error
    session.injected.add(fault.id)
    session.write("fault.injected", id=fault.id, kind=fault.kind, victim=str(fault.victim), facts=facts, at=at)
    session.say(f"INJECT     {fault.kind} on {fault.victim}")
    await _status(session, fault, Phase.INJECTED)


async def feel(session: Session, faults: Sequence[PlannedFault]) -> None:
    """Wait until each fault was felt, by evidence from outside it; one that is not is written down as such."""
    async with anyio.create_task_group() as together:
        for fault in faults:
            if fault.id in session.owed and fault.id not in session.felt:
                together.start_soon(_feel, session, fault)


async def _feel(session: Session, fault: PlannedFault) -> None:
    began = time.monotonic()
    evidence = None
    why = f"nothing was seen within {FELT_SECONDS:g} s"
    try:
        with anyio.move_on_after(FELT_SECONDS):
            evidence = await REGISTRY[fault.kind].felt(fault, session.reach)
    except HarnessError as error:
        why = str(error)
    if evidence is None:
        session.write("fault.not_felt", id=fault.id, why=why)
        session.say(f"not felt   {fault.kind} on {fault.victim}: {why}")
        return
    after = time.monotonic() - began
    session.felt.add(fault.id)
    session.write("fault.felt", id=fault.id, evidence=evidence, after=after)
    session.say(f"evidence   {fault.victim}: {_short(evidence)}")


async def settle(session: Session, faults: Sequence[PlannedFault], within: float) -> None:
    """Feel and heal these faults and wait, at most `within` seconds, until the system has what it lost."""
    await feel(session, faults)
    async with anyio.create_task_group() as together:
        for fault in faults:
            if fault.id in session.owed:
                together.start_soon(_heal_and_see, session, fault, within)


async def _heal_and_see(session: Session, fault: PlannedFault, within: float) -> None:
    if await undo(session, fault):
        with anyio.move_on_after(within):
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
            if session.keeper and operations:
                await session.keeper.forget(fault.id)
    except TimeoutError:
        why = f"not undone within {HEAL_SECONDS:g} s"
    except HarnessError as error:
        why = str(error)
    seconds = time.monotonic() - began
    how = why or ("seen undone" if operations else "nothing to undo")
    session.write("undo", id=fault.id, ops=operations, ok=not why, how=how, seconds=seconds)
    if why:
        session.dirty[fault.id] = f"{fault.kind} on {fault.victim}: {why}"
        return False
    session.owed.pop(fault.id, None)
    session.dirty.pop(fault.id, None)
    session.say(f"HEAL       {fault.victim}: {how} after {seconds:.2f} s")
    try:
        await resource.delete(session.kube, fault)
    except (ApiError, HarnessError) as error:
        session.write("error", what=f"Fault {fault.id} was not deleted", where="", why=str(error), hint="")
    return True


async def on_deleted(session: Session, plural: str) -> None:
    """Heal a fault whose resource somebody deletes: `kubectl delete fault` is an undo."""
    path, labels = f"{resource.ROOT}/{plural}", f"{resource.RUN_LABEL}={session.plan.run}"
    while True:
        try:
            async for kind, item in session.kube.watch(path, labels=labels):
                fault = session.owed.get(item["spec"]["id"])
                if session.abort:
                    return  # the undo of an aborted run is on its way, and a keeper may be tidying up beside it
                if kind == "DELETED" and fault and await undo(session, fault):
                    await see_healed(session, fault)
        except (ApiError, ClusterUnreachable):
            await anyio.sleep(1)


async def see_healed(session: Session, fault: PlannedFault) -> None:
    """Wait until the system has what the fault took."""
    began = time.monotonic()
    try:
        evidence = await REGISTRY[fault.kind].healed(fault, session.reach)
    except HarnessError as error:
        session.write("error", what=f"{fault.victim} was not seen healed", where=fault.kind, why=str(error), hint="")
        return
    session.write("fault.healed", id=fault.id, after=time.monotonic() - began, evidence=evidence)


async def step(session: Session, activity: Activity) -> None:
    """Run one foreign activity of the method in its own process."""
    result = await session.worker.call(document(activity), deadline=STEP_SECONDS)
    session.write("step", name=activity.name, **result)
    if result["status"] != "succeeded":
        raise InjectionFailed(f"step {activity.name!r} {result['status']}", why=str(result.get("error") or ""))


def document(activity: Activity) -> dict[str, object]:
    """Give an activity back as Chaos Toolkit writes it."""
    found: dict[str, object] = {"type": activity.kind, "name": activity.name, "provider": dict(activity.provider)}
    if activity.tolerance is not None:
        found["tolerance"] = activity.tolerance
    return found


async def _status(session: Session, fault: PlannedFault, phase: Phase) -> None:
    try:
        await resource.status(session.kube, fault, phase)
    except HarnessError as error:
        session.write("error", what=f"status of {fault.id} was not written", where="", why=str(error), hint="")


def _short(evidence: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in evidence.items())[:120]
