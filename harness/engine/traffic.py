"""Start the load of a run, look at what it saw a moment ago, stop it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from harness.engine.session import Session
from harness.errors import ObservationFailed
from harness.journal import operations
from harness.load import process
from harness.model.history import Operation

GATEWAY = "http://127.0.0.1:18080"
HOST = "api.claude-ecosystem.com"
LONGEST_SECONDS = 900.0


async def start(session: Session) -> None:
    """Start the experiment's load, if it has one, and wait until it is sending; raises ObservationFailed."""
    wanted = session.experiment.load
    if wanted is None:
        return
    url = os.environ.get("HARNESS_GATEWAY", GATEWAY)
    spec = {
        "url": url,
        "host": HOST,
        "workload": wanted.workload,
        "rate": wanted.rate,
        "ramp": wanted.ramp,
        "seconds": LONGEST_SECONDS,
        "seed": session.plan.seed,
    }
    session.load = await process.start(spec, session.directory)
    session.write(
        "load.started",
        rate=wanted.rate,
        ramp=wanted.ramp,
        workload=wanted.workload,
        pid=session.load.pid,
        origin_ns=session.journal.origin_ns,
    )
    try:
        await session.load.ready()
    except OSError as error:
        raise ObservationFailed("the load did not start", where=url, why=str(error)) from error


async def stop(session: Session) -> None:
    """Stop the load and write down what it did."""
    if session.load is None:
        return
    summary = await session.load.stop()
    session.write("load.ended", **summary)


def recent(session: Session, seconds: float) -> Iterable[Operation]:
    """Return the operations that were due in the last `seconds` and have ended."""
    now = session.journal.now()
    return operations.tail(session.directory, session.journal.origin_ns, since=now - seconds)
