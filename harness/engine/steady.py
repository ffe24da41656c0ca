"""Say whether the system is steady: the hypothesis before and after, readiness and traffic in between."""

from __future__ import annotations

import anyio

from harness.engine import method, traffic
from harness.engine.session import Session

PROBE_SECONDS = 20.0
QUIET_SECONDS = 1.5
LOOK_EVERY = 0.1


async def hypothesis_holds(session: Session) -> bool:
    """Run the hypothesis' probes, each with its tolerance; write each answer down."""
    held = True
    for probe in session.experiment.probes:
        result = await session.worker.call(method.document(probe), deadline=PROBE_SECONDS)
        ok = result["status"] == "succeeded" and result.get("tolerance_met") is not False
        session.write("probe", name=probe.name, ok=ok, value=result.get("output"), error=result.get("error"))
        if not ok:
            session.say(f"probe      {probe.name}: {result.get('output')} {result.get('error') or ''}".rstrip())
        held = held and ok
    return held


async def again(session: Session) -> None:
    """Return as soon as every Deployment is complete and the last moments of traffic were served."""
    while True:
        await session.readiness.complete()
        if _served(session):
            return
        await anyio.sleep(LOOK_EVERY)


def _served(session: Session) -> bool:
    if session.load is None:
        return True
    recent = list(traffic.recent(session, QUIET_SECONDS))
    return bool(recent) and all(operation.ok for operation in recent)
