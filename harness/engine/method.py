"""Walk the method: inject faults in groups, and wait until they are felt.

For each fault the order is always the same: its undo with the healer, its resource in the cluster, its effect. So
whatever dies between two of them, somebody else knows what to heal.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import anyio

from harness.engine import activities, additions
from harness.engine.session import Session
from harness.engine.undoing import healing
from harness.errors import AbortTriggered, ClusterUnreachable, HarnessError, InjectionFailed, first
from harness.faults import FAULTS
from harness.model import timeline
from harness.model.experiment import Activity
from harness.model.fault import Phase
from harness.model.plan import PlannedFault
from harness.resources import notice, resource
from harness.targets.reach import Facts


async def walk(session: Session) -> None:
    """Run every activity of the method in order; raises InjectionFailed when a fault cannot be injected."""
    session.method_begun = True
    async with activities.inside(session, "method"):
        drawn = [one for one in session.experiment.method if one.name not in session.plan.left_out]
        if not any(activity.background for activity in drawn):
            for activity in drawn:
                await _one(session, activity)
            return
        try:
            # Left only when what runs in the background has ended, too.
            async with anyio.create_task_group() as beside:
                for activity in drawn:
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
            await perform(session, activity, planned(session, activity))
        else:
            owed = [fault for fault in session.owed.values() if fault.activity == activity.heals]
            await settle(session, owed, session.experiment.phases.recovery)
        await anyio.sleep(activity.pause_after)


def planned(session: Session, activity: Activity) -> tuple[PlannedFault, ...]:
    """Return what the plan has for one step."""
    return tuple(fault for fault in session.plan.faults if activity.fault and fault.activity == activity.fault.activity)


async def perform(session: Session, activity: Activity, faults: tuple[PlannedFault, ...]) -> None:
    """Do what one step breaks, as often as it says, and heal it where it does not last until the method is over.

    Its first targets are `faults`, unless the plan has none for it; later ones are picked when their turn comes. Raises
    InjectionFailed.
    """
    spec = activity.fault
    assert spec
    for number in range(1, spec.times + 1):
        began = time.monotonic()
        if number > 1 or (spec.may_wait and not faults):
            faults = await additions.add(session, activity, number)
        await inject_in_groups(session, faults, spec.target.at_once, lasting=spec.duration)
        if spec.closes:
            last = faults[(len(faults) - 1) // spec.target.at_once * spec.target.at_once :]
            await _close(session, last, spec.duration)
        if number < spec.times:
            await anyio.sleep(max(0.0, began + spec.every - time.monotonic()))


def longest(steps: Sequence[Activity], recovery: float, targets: int) -> float:
    """Return how long steps may take, in seconds, where each group of targets is felt, undone and back at the limit.

    `recovery` is that limit, `targets` are the most that one step has.
    """
    groups, closings = dict[str, int](), 0.0
    for step in steps:
        if spec := step.fault:
            several = targets if spec.target.share or spec.target.rule else spec.target.least
            groups[spec.activity] = math.ceil(several / spec.target.at_once)
            closing = FAULTS[spec.kind].felt_within + healing.HEAL_SECONDS + recovery
            closings += groups[spec.activity] * spec.times * closing
    return timeline.spans(steps, groups)[1] + closings


async def _close(session: Session, faults: Sequence[PlannedFault], lasting: float | None) -> None:
    """Let faults last, heal them, and wait until what they cost is back; raises InjectionFailed when it is not."""
    if lasting:
        async with anyio.create_task_group() as together:
            together.start_soon(anyio.sleep, lasting)
            together.start_soon(feel, session, faults)
    await settle(session, faults, session.experiment.phases.recovery)
    hurt = [str(fault.victim) for fault in faults if not session.course(fault).healed]
    if hurt:
        raise InjectionFailed(
            "the next target is spared: the last one is not back",
            where=", ".join(hurt),
            why=f"not seen healed within {session.experiment.phases.recovery:g} s",
        )


async def feel(session: Session, faults: Sequence[PlannedFault]) -> None:
    """Wait until each fault was felt, and heal none."""
    async with anyio.create_task_group() as together:
        for fault in faults:
            together.start_soon(_feel, session, fault)


async def inject_in_groups(
    session: Session, faults: Sequence[PlannedFault], at_once: int, lasting: float | None = None
) -> None:
    """Inject `at_once` faults together; before the next group, each lasts so long and what it cost must be back.

    The last group is left as it is. Raises InjectionFailed when something is not back.
    """
    for start in range(0, len(faults), at_once):
        group = faults[start : start + at_once]
        try:
            async with anyio.create_task_group() as together:
                for fault in group:
                    together.start_soon(inject, session, fault)
        except BaseExceptionGroup as error:
            raise first(error) from error
        if start + at_once < len(faults):
            await _close(session, group, lasting)


async def inject(session: Session, fault: PlannedFault) -> None:
    """Inject one fault; raises InjectionFailed."""
    course = session.course(fault)
    with anyio.CancelScope() as scope:
        course.injecting = scope
        try:
            await _inject(session, fault)
        finally:
            course.injecting = None
    if scope.cancelled_caught:
        raise InjectionFailed(
            "the fault's resource was deleted while it was being injected",
            where=str(fault.victim),
            why="deleting it is asking for its undo",
        )


async def _inject(session: Session, fault: PlannedFault) -> None:
    kind, reach, course = FAULTS[fault.kind], session.reach, session.course(fault)
    try:
        if kind.prepare:
            reach.note(fault)["undo"] = await kind.prepare(fault, reach)
        undo = kind.undo(fault, reach)
        if undo:
            await reach.by(fault).register(fault.id, undo)
        course.owed = True
        order = await kind.order(fault, reach) if kind.order else None
        await session.guard()
        # A hand that has an order acts as soon as the resource is there, so writing that is the request of the effect.
        course.unanswered = order is not None
        session.write("fault.injecting", id=fault.id)
        began = datetime.now(UTC)
        await resource.create(session.kube, fault, session.plan.run, undo, order)
        course.written, course.unanswered = True, order is None
        try:
            facts = await kind.inject(fault, reach)
        except BaseExceptionGroup as group:
            raise first(group) from group
    except AbortTriggered:
        raise
    except HarnessError as error:
        if not isinstance(error, ClusterUnreachable):
            course.unanswered = False
        session.write("fault.failed", id=fault.id, error=str(error))
        raise (
            error
            if isinstance(error, InjectionFailed)
            else InjectionFailed(f"{fault.kind} could not be injected", where=str(fault.victim), why=str(error))
        ) from error
    course.unanswered, course.injected = False, True
    victim = fault.victim
    session.write(
        "fault.injected", id=fault.id, kind=fault.kind, victim=str(victim), container=victim.container, facts=facts
    )
    session.say(f"INJECT     {fault.kind} on {victim.shown}")
    # A hand that has an order says itself when it had done it.
    applied = None if order else datetime.now(UTC)
    await _status(session, fault, Phase.INJECTED, injected_at=began, applied_at=applied)
    await notice.post(session.kube, fault, session.plan.run, "ChaosInjected")
    if session.beside:
        session.beside(_look, session, fault)


async def _look(session: Session, fault: PlannedFault) -> None:
    """Look for a fault beside the steps that follow it: after them there may be nothing to see of it any more.

    What is not seen by then is looked for anew, and only that can say that it was not felt.
    """
    kind, began, evidence = FAULTS[fault.kind], time.monotonic(), None
    with anyio.move_on_after(kind.felt_within) as scope, contextlib.suppress(HarnessError):
        session.course(fault).looking = scope
        try:
            evidence = await kind.felt(fault, session.reach)
        except BaseExceptionGroup as group:
            raise first(group) from group
    if evidence is not None and not scope.cancel_called:
        await _felt(session, fault, evidence, began)


async def hold(session: Session, faults: Sequence[PlannedFault]) -> None:
    """Wait until each fault was felt; what heals by itself is watched from then on, so that its window is its own."""

    async def one(fault: PlannedFault) -> None:
        await _feel(session, fault)
        if FAULTS[fault.kind].instant and session.course(fault).owed:
            await healing.heal_and_see(session, fault, session.experiment.phases.recovery)

    async with anyio.create_task_group() as together:
        for fault in faults:
            together.start_soon(one, fault)


async def _feel(session: Session, fault: PlannedFault) -> None:
    """Wait until a fault was felt, by evidence from outside it; one that is not is written down as such."""
    course = session.course(fault)
    if course.looked_for or not course.owed:
        return
    course.look_no_more()
    began = time.monotonic()
    evidence = None
    kind = FAULTS[fault.kind]
    why = f"nothing was seen within {kind.felt_within:g} s"
    try:
        with anyio.move_on_after(kind.felt_within):
            evidence = await kind.felt(fault, session.reach)
            why = why if evidence else "it changed nothing"
    except HarnessError as error:
        why = str(error)
    if evidence is None:
        course.looked_for = True
        session.write("fault.not_felt", id=fault.id, why=why)
        session.say(f"not felt   {fault.kind} on {fault.victim.shown}: {why}")
        return
    await _felt(session, fault, evidence, began)


async def _felt(session: Session, fault: PlannedFault, evidence: Facts, began: float) -> None:
    session.course(fault).looked_for = True
    session.write("fault.felt", id=fault.id, evidence=evidence, after=time.monotonic() - began)
    session.say(f"evidence   {fault.victim}: {_short(evidence)}")
    await _status(session, fault, Phase.FELT, felt_at=datetime.now(UTC), evidence=evidence)


async def settle(session: Session, faults: Sequence[PlannedFault], within: float) -> None:
    """Feel and heal these faults and wait, at most `within` seconds, until the system has what it lost."""

    async def one(fault: PlannedFault) -> None:
        await _feel(session, fault)
        if session.course(fault).owed:
            await healing.heal_and_see(session, fault, within)

    async with anyio.create_task_group() as together:
        for fault in faults:
            together.start_soon(one, fault)


async def _status(session: Session, fault: PlannedFault, phase: Phase, **more: resource.Value) -> None:
    try:
        await resource.status(session.kube, fault, phase, **more)
    except HarnessError as error:
        session.write("error", what=f"status of {fault.id} was not written", where="", why=str(error), hint="")


def _short(evidence: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in evidence.items())[:120]
