"""Say whether the system is steady: the hypothesis before and after, readiness and traffic in between."""

from __future__ import annotations

import anyio

from harness.engine import activities, metrics, observe, traffic
from harness.engine.session import Session
from harness.errors import InjectionFailed

PROBE_SECONDS = 20.0
COMPLETE_SECONDS = 30.0
QUIET_SECONDS = 1.5
LOOK_EVERY = 0.1
SCRAPE_SECONDS = 2.0


async def hypothesis_holds(session: Session) -> bool:
    """Run the hypothesis' probes, each with its tolerance; write each answer down."""
    held = True
    for probe in session.experiment.probes:
        result = await session.worker.call(activities.document(probe), deadline=PROBE_SECONDS)
        ok = result["status"] == "succeeded" and result.get("tolerance_met") is not False
        session.write("probe", name=probe.name, ok=ok, value=result.get("output"), error=result.get("error"))
        if not ok:
            session.say(f"probe      {probe.name}: {result.get('output')} {result.get('error') or ''}".rstrip())
        held = held and ok
    return held


async def complete(session: Session) -> None:
    """Wait until no Deployment misses a pod, in the blast radius and around it; raises InjectionFailed if one goes on.

    What lies around is looked at here alone: whatever becomes of it later is not what this run is judged by.
    """
    around = observe.Readiness(session.plan.around)
    async with anyio.create_task_group() as watches:
        for namespace in session.plan.around:
            watches.start_soon(observe.deployments, session.kube, namespace, _unwritten, around)
        with anyio.move_on_after(COMPLETE_SECONDS):
            await session.readiness.complete()
            await around.complete()
        watches.cancel_scope.cancel()
    short = [*session.readiness.short, *around.short]
    if short:
        raise InjectionFailed(
            "the system was not steady before the first fault",
            why=", ".join(short),
            hint="let the last disturbance pass, or `harness up`",
        )


def _unwritten(event: str, **_: object) -> None:
    """Leave a sample out of the journal."""


async def again(session: Session) -> None:
    """Return as soon as every Deployment is complete, traffic was served for a while, and breakers are closed."""
    since = session.journal.now()
    while True:
        await session.readiness.complete()
        if _served(session, since) and await _closed(session):
            return
        await anyio.sleep(LOOK_EVERY)


def _served(session: Session, since: float) -> bool:
    """Say whether all that was due lately was served; what was due before `since` proves nothing."""
    if session.load is None:
        return True
    if session.journal.now() - since < QUIET_SECONDS:
        return False
    due_from = session.journal.now() - QUIET_SECONDS
    recent = [one for one in traffic.recent(session, QUIET_SECONDS) or () if one.intended > due_from and one.punctual]
    return bool(recent) and all(operation.ok for operation in recent)


async def _closed(session: Session) -> bool:
    """Say whether the breaker that an objective speaks of is closed everywhere; silence is not a yes."""
    for objective in session.experiment.objectives:
        if objective.checker == "breaker" and objective.parameters.get("closes", True):
            worst = await metrics.value(
                f'max(breaker_state{{dependency="{objective.parameters["dependency"]}"}})', session
            )
            if worst != 0:
                await anyio.sleep(SCRAPE_SECONDS / 4)
                return False
    return True
