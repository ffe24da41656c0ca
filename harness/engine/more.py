"""Add to the plan of a run that is under way: what a test asks for, and what is done again with other targets."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

from harness.engine import plan
from harness.engine.session import Session
from harness.model.experiment import Activity
from harness.model.plan import PlannedFault


async def add(session: Session, activity: Activity, run: str, *, instead: str = "") -> tuple[PlannedFault, ...]:
    """Pick targets for one step now, write them down, and return what is planned with them.

    What is broken now, or will be by a step to come, is picked for none; what was healed may be picked again, as the
    seed says. `instead` names the step whose earlier faults are over. Raises UsageError where a cap would be exceeded.
    """
    before = session.plan
    alone = replace(session.experiment, method=(activity,), choices=())
    waiting = [one for one in before.faults if one.activity != instead and one.id not in session.courses]
    taken = frozenset(fault.victim.uid for fault in (*session.owed.values(), *waiting))
    added = await plan.resolve(session.kube, alone, run=run, seed=before.seed, taken=taken, alone=session.scope.alone)
    standing = tuple(one for one in before.faults if one.activity != instead)
    plan.require_caps(session.experiment, (*standing, *added.faults))
    faults = (*before.faults, *added.faults)
    session.plan = replace(
        before, faults=faults, resolved=plan.resolved(faults), shares=(*before.shares, *added.shares)
    )
    session.write(
        "plan",
        intent=before.intent,
        resolved=session.plan.resolved,
        shares=list(added.shares),
        caps=dataclasses.asdict(session.experiment.blast_radius),
        faults=[plan.record(one) for one in added.faults],
        objectives=[
            {"checker": objective.checker, "parameters": dict(objective.parameters)}
            for objective in session.experiment.objectives
        ],
    )
    return added.faults
