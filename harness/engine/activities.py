"""Run what the document brings along: foreign steps of the method, and the rollbacks, each in its own process."""

from __future__ import annotations

from harness.engine.session import Session
from harness.errors import InjectionFailed
from harness.model.experiment import Activity

STEP_SECONDS = 120.0


async def step(session: Session, activity: Activity) -> None:
    """Run one foreign activity of the method in its own process; a probe's tolerance must hold, too."""
    await session.guard()
    result = await session.worker.call(document(activity), deadline=STEP_SECONDS)
    session.write("step", name=activity.name, **result)
    if result["status"] != "succeeded":
        raise InjectionFailed(f"step {activity.name!r} {result['status']}", why=str(result.get("error") or ""))
    if result.get("tolerance_met") is False:
        raise InjectionFailed(
            f"step {activity.name!r} is outside its tolerance", why=f"it returned {result.get('output')!r}"
        )


async def roll_back(session: Session) -> None:
    """Run the document's rollbacks, each whatever became of the one before; one that fails leaves the run dirty.

    One that an abort cuts has not ended, so the next call runs it again, and those behind it.
    """
    for number, activity in enumerate(session.experiment.rollbacks if session.method_begun else ()):
        if number in session.rolled_back:
            continue
        try:
            result = await session.worker.call(document(activity), deadline=STEP_SECONDS)
        except Exception as bug:  # the rollbacks behind it must run all the same
            result = {"status": "failed", "error": f"{type(bug).__name__}: {bug}"}
        session.rolled_back.add(number)
        session.write("rollback", name=activity.name, **result)
        session.say(f"ROLLBACK   {activity.name}: {result['status']}")
        if result["status"] != "succeeded":
            session.dirty[f"rollback {activity.name}"] = (
                f"rollback {activity.name!r} {result['status']}: {result.get('error') or ''}"
            )


def document(activity: Activity) -> dict[str, object]:
    """Give an activity back as Chaos Toolkit writes it."""
    found: dict[str, object] = {"type": activity.kind, "name": activity.name, "provider": dict(activity.provider)}
    if activity.tolerance is not None:
        found["tolerance"] = activity.tolerance
    return found
