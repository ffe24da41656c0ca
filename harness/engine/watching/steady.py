"""Say whether the system is steady: the hypothesis before and after, readiness and traffic again after the faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from harness.checkers import OBJECTIVES
from harness.engine import activities
from harness.engine.session import Session
from harness.engine.watching import metrics
from harness.model.experiment import Activity
from harness.steps.worker import Worker

Answer = Mapping[str, Any]
PROBE_SECONDS = 20.0
QUIET_SECONDS = 1.5
LOOK_EVERY = 0.1
SCRAPE_SECONDS = 2.0


async def ask(session: Session) -> list[Answer]:
    """Run the hypothesis' probes, each with its pauses and its tolerance."""
    answers: list[Answer] = []
    if session.experiment.probes:
        await activities.enter(session, "hypothesis")
    for probe in session.experiment.probes:
        result = await call(session.worker, probe)
        if activities.interrupted(session, result):
            await anyio.lowlevel.checkpoint()
        answers.append(answer(probe, result))
    if session.experiment.probes:
        met = all(answer["ok"] for answer in answers)
        await activities.leave(session, "hypothesis", steady_state_met=met, probes=answers)
    return answers


async def call(worker: Worker, probe: Activity) -> dict[str, Any]:
    """Ask one probe of the hypothesis."""
    deadline = probe.deadline or PROBE_SECONDS + probe.pause_before + probe.pause_after
    return await worker.call(activities.document(probe), deadline=deadline, role="hypothesis")


def answer(probe: Activity, result: Mapping[str, Any]) -> Answer:
    """Say what a probe answered, and whether its tolerance holds."""
    ok = result["status"] == "succeeded" and result.get("tolerance_met") is not False
    return {"name": probe.name, "ok": ok, "value": result.get("output"), "error": result.get("error")}


def record(session: Session, answers: Sequence[Answer]) -> bool:
    """Write each answer down and say whether the hypothesis holds."""
    for answer in answers:
        session.write("probe", **answer)
        if not answer["ok"]:
            session.say(f"probe      {told(answer)}")
    return all(answer["ok"] for answer in answers)


def told(answer: Answer) -> str:
    """Say what one probe answered."""
    return f"{answer['name']}: {answer['value']} {answer['error'] or ''}".rstrip()


async def again(session: Session) -> None:
    """Return as soon as every workload is back, traffic was served for a while, and breakers are closed."""
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
    recent = [one for one in session.recent(QUIET_SECONDS) or () if one.intended > due_from and one.punctual]
    return bool(recent) and all(operation.ok for operation in recent)


async def _closed(session: Session) -> bool:
    """Say whether what each objective has to be closed again is, everywhere; silence is not a yes."""
    for objective in session.experiment.objectives:
        ask = OBJECTIVES[objective.checker].steady_when_zero
        query = ask(objective.parameters) if ask else ""
        if query and await metrics.value(query, session) != 0:
            await anyio.sleep(SCRAPE_SECONDS / 4)
            return False
    return True
