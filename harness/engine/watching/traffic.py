"""Start the load of a run, and stop it."""

from __future__ import annotations

import math
import os

import anyio

from harness.checkers import OBJECTIVES
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine.session import Session
from harness.errors import ObservationFailed, PreconditionFailed
from harness.journal import operations
from harness.load import process, spec, tls
from harness.load.requests import origin_of, referred
from harness.model import load as loads
from harness.model import rate
from harness.model.load import LoadSpec
from harness.probes import settings

VARIABLE = "HARNESS_GATEWAY"
GATEWAY = "http://127.0.0.1:18080"
HOST = "api.claude-ecosystem.com"
# What a run may take besides the phases it states: steps, injections with deadlines, waits for evidence and undo.
SPARE_SECONDS = 900.0
READY_SECONDS = 20.0


def named_gateway() -> str:
    """Return the gateway that the environment names; raises UsageError where that is no URL."""
    url = os.environ.get(VARIABLE, "")
    if url:
        spec.require_url(url, VARIABLE)
    return url


def gateway(kube: Kube, cluster: LocalCluster | None) -> str:
    """Return the URL that the load of a run goes to.

    Raises PreconditionFailed where it would not be the run's own cluster that answers, UsageError where it is none.
    """
    named = named_gateway()
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
    if named:
        spec.require_bare(named, VARIABLE)
    return named or GATEWAY


def meets_gateway(session: Session) -> bool:
    """Say whether the load passes through the cluster's gateway, by a path or by its address, or is judged by it."""
    load = session.experiment.load
    if load is None:
        return False
    if load.at_gateway or any(OBJECTIVES[one.checker].at_gateway for one in session.experiment.objectives):
        return True
    named = named_gateway() or (GATEWAY if session.cluster else "")
    return bool(named) and any(origin_of(call.url) == origin_of(named) for call in load.calls)


def require(kube: Kube, cluster: LocalCluster | None, load: LoadSpec | None) -> None:
    """Make sure that a load has where to go, and whatever its headers and TLS need.

    Raises PreconditionFailed when nobody said where, UsageError when what the environment says is no URL, a header's
    variable or file is missing or a certificate cannot be used.
    """
    named_gateway()
    if load is None:
        return
    if load.at_gateway:
        gateway(kube, cluster)
    for value in {value for call in load.calls for value in call.headers.values()}:
        referred(value, load.folder)
    if load.tls.ca or load.tls.certificate:
        tls.context(load)


async def start(session: Session) -> None:
    """Start the experiment's load, if it has one, and wait until it is sending.

    Raises ObservationFailed when it does not start, PreconditionFailed when nobody said where to send it.
    """
    wanted = session.experiment.load
    if wanted is None:
        return
    phases = session.experiment.phases
    url = gateway(session.kube, session.cluster) if wanted.at_gateway else ""
    named = [url, *(call.url for call in wanted.calls)]
    told = {
        "load": wanted.written,
        "folder": wanted.folder,
        "url": url,
        "host": os.environ.get("HARNESS_HOST") or HOST,
        # Named in the document or the environment is named on purpose.
        "allow": [origin_of(one).host for one in named if "://" in one],
        "seconds": phases.settle + phases.baseline + phases.hold + phases.recovery + SPARE_SECONDS,
        "seed": session.plan.seed,
    }
    try:
        session.load = await process.start(told, session.directory)
    except OSError as error:  # a disk that is full
        why = error.strerror or str(error)
        raise ObservationFailed("the load did not start", where=str(session.directory), why=why) from error
    session.write(
        "load.started",
        url=url,
        rate=wanted.rate,
        ramp=wanted.ramp,
        workload=wanted.workload,
        **loads.record(wanted),
        pid=session.load.pid,
        origin_ns=session.journal.origin_ns,
        record=operations.RECORD.size,
    )
    try:
        with anyio.fail_after(READY_SECONDS):
            await session.load.ready()
        session.load_from = session.journal.now()
    except (OSError, TimeoutError) as error:
        raise ObservationFailed("the load did not start", where=url or wanted.workload, why=str(error)) from error


async def begin(session: Session) -> None:
    """Begin the load's stages, if it has any: with the baseline, whatever settling took."""
    wanted = session.experiment.load
    if wanted is None or session.load is None or not wanted.stages:
        return
    await session.load.begin()
    profile = rate.staged(wanted.stages, wanted.ramp, session.journal.now())
    session.write("load.stages", points=[list(point) for point in profile.points])
    session.load_profile = profile


def due(session: Session, start: float, end: float) -> float:
    """Return how many operations the load should begin between two times of the run."""
    load = session.experiment.load
    profile = session.load_profile or (rate.steady(load.rate) if load else None)
    return profile.due(start, end) if profile else 0.0


async def stop(session: Session) -> None:
    """Stop the load and write down what it did."""
    if session.load is None:
        return
    session.steady_load_from = math.inf
    summary = await session.load.stop()
    session.write("load.ended", **summary)
