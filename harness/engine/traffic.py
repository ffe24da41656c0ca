"""Start the load of a run, look at what it saw a moment ago, stop it."""

from __future__ import annotations

import math
import os
from urllib.parse import urlsplit

import anyio

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine.session import Session
from harness.errors import ObservationFailed, PreconditionFailed
from harness.journal import operations
from harness.load import process
from harness.model.history import Operation
from harness.probes import settings

GATEWAY = "http://127.0.0.1:18080"
HOST = "api.claude-ecosystem.com"
# What a run may take besides the phases it states: steps, injections with deadlines, waits for evidence and undo.
SPARE_SECONDS = 900.0
READY_SECONDS = 20.0


def gateway(kube: Kube, cluster: LocalCluster | None) -> str:
    """Return the URL that the load of a run goes to.

    Raises PreconditionFailed where it would not be the run's own cluster that answers.
    """
    named = os.environ.get("HARNESS_GATEWAY", "")
    if not named and cluster is None:
        raise PreconditionFailed(
            "nobody said where this cluster takes its traffic",
            where=kube.context,
            why="the local gateway's answers would say nothing about another cluster",
            hint="HARNESS_GATEWAY=https://... names it; HARNESS_HOST the host it is asked for",
        )
    if named and cluster and not settings.loopback(named):
        raise PreconditionFailed(
            f"HARNESS_GATEWAY names {named}",
            where=kube.context,
            why="this run breaks the local cluster, and another one's answers would judge it",
            hint="unset HARNESS_GATEWAY, or name --context",
        )
    return named or GATEWAY


async def start(session: Session) -> None:
    """Start the experiment's load, if it has one, and wait until it is sending.

    Raises ObservationFailed when it does not start, PreconditionFailed when nobody said where to send it.
    """
    wanted = session.experiment.load
    if wanted is None:
        return
    url, phases = gateway(session.kube, session.cluster), session.experiment.phases
    spec = {
        "url": url,
        "host": os.environ.get("HARNESS_HOST") or HOST,
        # Named in the environment is named on purpose.
        "allow": [urlsplit(url).hostname or ""],
        "workload": wanted.workload,
        "rate": wanted.rate,
        "ramp": wanted.ramp,
        "seconds": phases.settle + phases.baseline + phases.hold + phases.recovery + SPARE_SECONDS,
        "seed": session.plan.seed,
    }
    try:
        session.load = await process.start(spec, session.directory)
    except OSError as error:  # a disk that is full
        why = error.strerror or str(error)
        raise ObservationFailed("the load did not start", where=str(session.directory), why=why) from error
    session.write(
        "load.started",
        url=url,
        rate=wanted.rate,
        ramp=wanted.ramp,
        workload=wanted.workload,
        pid=session.load.pid,
        origin_ns=session.journal.origin_ns,
        record=operations.RECORD.size,
    )
    try:
        with anyio.fail_after(READY_SECONDS):
            await session.load.ready()
        session.load_from = session.journal.now()
    except (OSError, TimeoutError) as error:
        raise ObservationFailed("the load did not start", where=url, why=str(error)) from error


async def stop(session: Session) -> None:
    """Stop the load and write down what it did."""
    if session.load is None:
        return
    session.steady_load_from = math.inf
    summary = await session.load.stop()
    session.write("load.ended", **summary)


def recent(session: Session, seconds: float) -> list[Operation] | None:
    """Return the operations that ended in the last `seconds`; None of no load or a dead one, which proves nothing."""
    if session.load is None or session.load.died:
        return None
    now = session.journal.now()
    return operations.tail(session.directory, session.journal.origin_ns, since=now - seconds)
