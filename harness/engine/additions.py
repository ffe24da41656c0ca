"""Add to the plan of a run that is under way: what a test asks for, and what is done again with other targets."""

from __future__ import annotations

import random
from dataclasses import replace

from harness.engine.planning import caps, plan
from harness.engine.preflight import permission
from harness.engine.session import Session
from harness.faults import FAULTS
from harness.model import timeline
from harness.model.experiment import Activity
from harness.model.plan import PlannedFault


async def add(session: Session, activity: Activity, number: int = 1) -> tuple[PlannedFault, ...]:
    """Pick targets for one step now, write them down, and return what is planned with them.

    What is broken now, or will be by a step to come, is picked for none; what was healed may be picked again, as the
    seed says. `number` says for which time the step is done: from the second on, its earlier faults are over. Raises
    UsageError where a cap would be exceeded or a namespace has not opted in, PreconditionFailed where its lever is on.
    """
    # One at a time: whoever picks must know what the one before has picked.
    async with session.picking:
        return await _add(session, activity, number)


async def _add(session: Session, activity: Activity, number: int) -> tuple[PlannedFault, ...]:
    before, again = session.plan, number > 1
    instead = activity.fault.activity if activity.fault and again else ""
    step = activity.fault.activity if activity.fault else activity.name
    # Each has a chance of its own: two steps that picked by one would always pick the same places.
    seed = random.Random(f"{before.seed} {step} time {number}").getrandbits(32)
    run = f"{before.run}-{len(before.faults)}"
    due = replace(activity, fault=replace(activity.fault, late=False)) if activity.fault else activity
    alone = replace(session.experiment, method=(due,), choices=())
    begun = [one.fault for one in session.courses.values() if one.injecting]
    broken = (*session.owed.values(), *begun, *_waiting(session, activity, instead))
    taken = frozenset(uid for fault in broken for uid in fault.victim.uids)
    added = await plan.resolve(session.kube, alone, run=run, seed=seed, taken=taken, alone=session.scope.alone)
    standing = [one for one in before.faults if one.activity != instead and one.id not in _over(session)]
    caps.require_alone(session.experiment, [*standing, *added.faults], before.left_out)
    if session.experiment.promising:
        caps.require(session.experiment, [*standing, *added.faults], before.left_out)
    await permission.admit_reached(session, added.faults)
    faults = (*before.faults, *added.faults)
    session.plan = replace(
        before, faults=faults, resolved=plan.resolved(faults), shares=(*before.shares, *added.shares)
    )
    session.write(
        "plan",
        intent=before.intent,
        resolved=session.plan.resolved,
        shares=list(added.shares),
        **plan.told(session.experiment, added.faults),
    )
    return added.faults


def _over(session: Session) -> set[str]:
    """Name the faults that are healed and that their step has followed with others: they count for no cap."""
    latest = {one.activity: one.id for one in session.plan.faults}
    return {one.fault.id for one in session.courses.values() if one.healed} - {*latest.values()}


def _waiting(session: Session, activity: Activity, instead: str) -> list[PlannedFault]:
    """List the faults to come whose targets this step may not have.

    What comes when it is healed may have the same ones, as in the plan; but none that is deleted before.
    """
    steps = [one for one in session.experiment.method if one.fault]
    given_back = activity.fault and not FAULTS[activity.fault.kind].instant and timeline.over_before_next(activity)
    later = steps[steps.index(activity) + 1 :] if given_back and activity in steps else []
    free = {one.fault.activity for one in later if one.fault} | {instead}
    return [one for one in session.plan.faults if one.activity not in free and one.id not in session.courses]
