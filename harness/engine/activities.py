"""Run what the document brings along: foreign steps, controls and rollbacks, each in a process that can be cut."""

from __future__ import annotations

import contextlib
import math
import shlex
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import anyio

from harness.documents import foreign
from harness.documents.provider import ACTIONS, LONGEST_PAUSE
from harness.engine.session import Session
from harness.errors import HarnessError, InjectionFailed, UsageError
from harness.model.experiment import Activity, Experiment
from harness.steps.worker import Worker

STEP_SECONDS = 120.0
# A document that was not written for this engine states no deadline, and a load test may be one of its steps.
PLAIN_STEP_SECONDS = 3600.0
CONTROL_SECONDS = 60.0
LOOK_EVERY = 0.25
# What Chaos Toolkit took of earlier documents: it takes a second to ask, and those of a folder call the same functions.
_taken: set[tuple[str, ...]] = set()


async def begin(worker: Worker, experiment: Experiment) -> None:
    """Have the document taken in by the process that runs its steps; raises UsageError when it refuses."""
    if experiment.stated:
        _require_taken(experiment, await worker.begin(experiment.stated, deadline=STEP_SECONDS))


async def check(experiment: Experiment, environment: Mapping[str, str]) -> None:
    """Refuse a document whose own steps would be refused when it is run, without calling any; raises UsageError."""
    called = frozenset(_called(experiment.stated))
    if experiment.promising and not experiment.uncovered and called <= _taken:
        return
    async with Worker(env=environment) as worker:
        _require_taken(experiment, await worker.ask("check", deadline=STEP_SECONDS, document=experiment.stated))
    _taken.update(called)


def _called(stated: Any) -> Iterator[tuple[str, ...]]:
    """Name everything that a document's providers call, faults left out: what is known of those is known already."""
    if isinstance(stated, list):
        for one in stated:
            yield from _called(one)
    elif isinstance(stated, Mapping):
        provider = stated.get("provider")
        if isinstance(provider, Mapping) and provider.get("module") != ACTIONS:
            arguments = provider.get("arguments")
            names = sorted(map(str, arguments)) if isinstance(arguments, Mapping) else []
            yield (*(str(provider.get(key, "")) for key in ("type", "module", "func", "path", "url")), *names)
        for one in stated.values():
            yield from _called(one)


def _require_taken(experiment: Experiment, found: Mapping[str, Any]) -> None:
    if found["status"] != "succeeded":
        raise UsageError(
            "Chaos Toolkit cannot run this document",
            where=str(experiment.path),
            why=str(found["error"]).partition(": ")[2] or str(found["error"]),
            hint=f"chaos validate {shlex.quote(str(experiment.path))}",
        )


async def step(session: Session, activity: Activity, sent: anyio.Event | None = None) -> None:
    """Run one foreign activity of the method in its own process; with `sent`, beside the next ones.

    Raises InjectionFailed when it fails, or a probe's tolerance does not hold; a document without our extension goes
    on, as Chaos Toolkit does, unless the step could not be run at all.
    """
    await session.guard()
    more: dict[str, Any] = {"sent": sent} if sent else {}
    result = await session.worker.call(document(activity), deadline=limit(session.experiment, activity), **more)
    acts = foreign.acts(activity.kind, activity.provider)
    session.write("step", name=activity.name, by=foreign.function(activity.provider), acts=acts, **result)
    if interrupted(session, result):
        await anyio.lowlevel.checkpoint()
        return
    if result["status"] != "succeeded" and (session.experiment.promising or result.get("fatal")):
        raise InjectionFailed(f"step {activity.name!r} {result['status']}", why=str(result.get("error") or ""))
    if result.get("tolerance_met") is False and session.experiment.promising:
        raise InjectionFailed(
            f"step {activity.name!r} is outside its tolerance", why=f"it returned {result.get('output')!r}"
        )
    told = f": {result['error']}" if result.get("error") else ""
    session.say(f"STEP       {activity.name}: {result['status']}{told}")


def interrupted(session: Session, result: Mapping[str, Any]) -> bool:
    """Cut the run short when a control or a step has asked for it."""
    if result["status"] != "interrupted":
        return False
    session.abort.pull("control", str(result.get("error") or "a control interrupted the run"))
    return True


async def enter(session: Session, level: str, activity: Activity | None = None) -> None:
    """Tell the document's controls that a part begins; nothing where it has none."""
    await _tell(session, "enter", level, activity)


async def leave(session: Session, level: str, activity: Activity | None = None, **state: Any) -> None:
    """Tell the document's controls that a part has ended."""
    await _tell(session, "leave", level, activity, state=state)


@contextlib.asynccontextmanager
async def inside(session: Session, level: str, activity: Activity | None = None) -> AsyncIterator[None]:
    """Do something between what the document's controls do before it and after it."""
    await enter(session, level, activity)
    try:
        yield
    except HarnessError:
        await leave(session, level, activity, status="failed")
        raise
    await leave(session, level, activity, status="succeeded")


async def _tell(session: Session, do: str, level: str, activity: Activity | None, **more: Any) -> None:
    if not session.experiment.controlled:
        return
    context = document(activity) if activity else None
    result = await session.worker.ask(do, deadline=CONTROL_SECONDS, level=level, context=context, **more)
    if result["status"] != "succeeded":
        session.write("control", level=level, do=do, **result)
    if interrupted(session, result):
        await session.worker.ask("interrupted", deadline=CONTROL_SECONDS)
        await anyio.lowlevel.checkpoint()


async def on_wish(session: Session) -> None:
    """Abort when a control asks for the end of the run while none of its document's steps is being run."""
    while session.experiment.controlled:
        await anyio.sleep(LOOK_EVERY)
        # Without a limit: a step that keeps its process busy answers late, and must not be cut for it.
        result = await session.worker.ask("pending", deadline=math.inf, sent=anyio.Event())
        if result.get("output"):
            session.abort.pull("control", str(result["output"]))
            return


def due(session: Session) -> bool:
    """Say whether the rollbacks are to be done: by the document's strategy, or by ours, once there is something to do.

    Ours does them on every way out; Chaos Toolkit's default leaves them out after an interruption.
    """
    if not session.planned:  # what was refused before it was planned touches nothing, not by its rollbacks either
        return False
    undisturbed = not session.abort and not session.unanswered_probe
    match session.experiment.rolls_back:
        case "never":
            return False
        case "always":
            return True
        case "deviated":
            return session.deviated
        case "default":
            return undisturbed and (session.method_begun or not session.experiment.promising)
    return session.method_begun or (undisturbed and not session.experiment.promising)


async def roll_back(session: Session) -> None:
    """Run the document's rollbacks, each whatever became of the one before; one that fails leaves the run dirty.

    One that an abort cuts has not ended, so the next call runs it again, and those behind it.
    """
    rollbacks = session.experiment.rollbacks
    left = [number for number in range(len(rollbacks)) if number not in session.rolled_back]
    # Controls are told of rollbacks, once, where there are none, too.
    if not due(session) or not (left or (session.experiment.controlled and not session.told_of_rollbacks)):
        return
    session.told_of_rollbacks = True
    await enter(session, "rollback")
    async with anyio.create_task_group() as beside:
        for number in left:
            if rollbacks[number].background:
                beside.start_soon(_roll_back, session, number, anyio.Event())
            else:
                await _roll_back(session, number)
    await leave(session, "rollback")


async def _roll_back(session: Session, number: int, sent: anyio.Event | None = None) -> None:
    activity = session.experiment.rollbacks[number]
    result: dict[str, Any]
    if activity.heals:
        result = {"status": "succeeded", "output": f"undone with step {activity.heals!r}"}
    else:
        try:
            deadline = limit(session.experiment, activity)
            more: dict[str, Any] = {"sent": sent} if sent else {}
            result = await session.worker.call(document(activity), deadline=deadline, role="rollbacks", **more)
        except Exception as bug:  # the rollbacks behind it must run all the same
            result = {"status": "failed", "error": f"{type(bug).__name__}: {bug}"}
    session.rolled_back.add(number)
    session.write("rollback", name=activity.name, **result)
    session.say(f"ROLLBACK   {activity.name}: {result['status']}")
    if result["status"] != "succeeded":
        session.unrolled[activity.name] = f"rollback {activity.name!r} {result['status']}: {result.get('error') or ''}"
    elif result.get("tolerance_met") is False:
        session.unrolled[activity.name] = (
            f"rollback {activity.name!r} is outside its tolerance: {result.get('output')!r}"
        )


def limit(experiment: Experiment, activity: Activity) -> float:
    """Return how long one activity may take, in seconds, its pauses included."""
    own = activity.deadline or (STEP_SECONDS if experiment.promising else PLAIN_STEP_SECONDS)
    pauses = activity.stated.get("pauses") or {}
    unknown = sum(isinstance(pause, str) for pause in pauses.values()) * LONGEST_PAUSE
    return own + activity.pause_before + activity.pause_after + unknown


def document(activity: Activity) -> dict[str, object]:
    """Return an activity as Chaos Toolkit writes it."""
    if activity.stated:
        return dict(activity.stated)
    found: dict[str, object] = {"type": activity.kind, "name": activity.name, "provider": dict(activity.provider)}
    if activity.tolerance is not None:
        found["tolerance"] = activity.tolerance
    return found
