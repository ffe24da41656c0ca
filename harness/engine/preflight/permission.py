"""Hold everything a run needs before it may act: no lever, an opt-in, a healer's ear, the lease."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence

import anyio

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine import abort, contexts, lever
from harness.engine.lease import SECONDS as LEASE_SECONDS
from harness.engine.lease import Leases
from harness.engine.planning import rights
from harness.engine.preflight import access_review
from harness.engine.preflight import scope as scopes
from harness.engine.preflight.scope import SYSTEM, Scope
from harness.engine.session import Session
from harness.engine.watching import metrics, traffic
from harness.errors import ApiError, HarnessError, PreconditionFailed
from harness.faults import FAULTS
from harness.hands import healer as healers
from harness.hands.healer import Healer
from harness.hands.kind import Place
from harness.hands.known import HANDS
from harness.model.experiment import Experiment
from harness.model.plan import PlannedFault
from harness.resources import crds

GOODBYE_SECONDS = 5.0


@contextlib.asynccontextmanager
async def hold(
    kube: Kube, cluster: LocalCluster | None, experiment: Experiment, identity: str
) -> AsyncIterator[tuple[Leases, Healer]]:
    """Hold the right to act for as long as the block lasts; raises PreconditionFailed, or UsageError without opt-in."""
    scope = await scopes.find(kube, experiment)
    try:
        await _preflight(kube, cluster, experiment, scope)
    except ApiError as error:
        if error.status != 403:
            raise
        raise scopes.lacking(kube, experiment, error) from error
    healer = await healers.begin(cluster, identity, LEASE_SECONDS)
    leases = Leases(kube, identity, scope, experiment.blast_radius.namespaces, kept=healer.own)
    try:
        try:
            await leases.acquire(holder_is_dead=healer.own)
        except ApiError as error:
            if error.status != 403:
                raise
            raise scopes.lacking(kube, experiment, error) from error
        yield leases, healer
    finally:
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(GOODBYE_SECONDS), contextlib.suppress(HarnessError):
                await leases.release()
            with anyio.move_on_after(GOODBYE_SECONDS):
                await healer.end()


async def _preflight(kube: Kube, cluster: LocalCluster | None, experiment: Experiment, scope: Scope) -> None:
    await admit(kube, cluster, scope, experiment.blast_radius.namespaces)
    traffic.require(kube, cluster, experiment.load)
    metrics.require()
    if cluster is None and not await crds.installed(kube):
        raise PreconditionFailed(
            "the cluster does not know the harness's resources",
            where=kube.context,
            why="a fault is written down there before it is injected",
            hint="once, as an administrator: harness crds | " + contexts.command(kube, "kubectl", "apply", "-f", "-"),
        )
    for hand in sorted({FAULTS[spec.kind].hand for spec in experiment.faults}):
        own = [spec for spec in experiment.faults if FAULTS[spec.kind].hand is hand]
        await HANDS[hand].ready(Place(kube, cluster, *scope.inside), own)
    if cluster is None:
        await _require_granted(kube, experiment)
    await healers.ready(cluster)


async def _require_granted(kube: Kube, experiment: Experiment) -> None:
    """Refuse a run that would be refused in its midst; where nobody may ask, it finds out there."""
    lacks = []
    try:
        for namespace, rules in rights.needed(experiment).items():
            if missing := await access_review.missing(kube, rules, namespace):
                lacks.append(", ".join(missing) + (f" in namespace {namespace}" if namespace else ""))
    except ApiError:
        return
    if lacks:
        raise PreconditionFailed(
            f"this user may not {'; '.join(lacks)}",
            where=f"context {kube.context}",
            hint=scopes.grant(experiment),
        )


async def admit(kube: Kube, cluster: LocalCluster | None, scope: Scope, namespaces: Sequence[str]) -> None:
    """Ask for the levers and the opt-in of namespaces; what one's own Role keeps from sight is not asked.

    Raises PreconditionFailed when a lever is on, UsageError when a namespace of another cluster has not opted in.
    """
    for namespace in levers(scope, namespaces):
        try:
            pulled = await lever.read(kube, namespace)
        except ApiError as error:
            if error.status != 403 or not scope.alone or namespace == scope.system:
                raise
            continue
        if pulled:
            raise PreconditionFailed(
                "the lever is on",
                where=f"{kube.context}, namespace {namespace}",
                why=f"{pulled.get('who')}: {pulled.get('reason')}",
                hint=contexts.command(kube, "harness", "lever", "off", *scope.words),
            )
    if cluster is None:
        await contexts.require_opt_in(kube, namespaces, unseen=scope.alone)


async def admit_reached(session: Session, faults: Iterable[PlannedFault]) -> None:
    """Ask whoever lives in a namespace that no cap names: a document without our extension reaches what it reaches."""
    reached = {one.namespace for fault in faults for one in (fault.victim, *fault.takes)}
    more = sorted(reached - {"", *session.experiment.blast_radius.namespaces})
    if session.experiment.promising or not more:
        return
    await admit(session.kube, session.cluster, session.scope, more)
    for namespace in await session.lease.extend(more, holder_is_dead=session.healer.own):
        if session.beside:
            session.beside(abort.on_lever, session.abort, session.kube, namespace)


def levers(scope: Scope, namespaces: Sequence[str]) -> tuple[str, ...]:
    """Name the namespaces whose lever stops a run: the cluster's, that of its scope, and those that it may touch."""
    return tuple(dict.fromkeys([SYSTEM, scope.system, *namespaces]))
