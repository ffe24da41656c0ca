"""Run one experiment: preflight, plan, baseline, inject, hold, heal, recovery, judge, report.

Whatever ends the walk early, the undo is the same shielded block, and it begins at once.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio

from harness.cluster.kubeconfig import passing
from harness.engine import abort, activities, announce, clusterless, contexts, ending, method, plain
from harness.engine.options import Options, Outcome, Stop
from harness.engine.planning import plan
from harness.engine.preflight import permission, scope
from harness.engine.session import Session
from harness.engine.undoing import healing, owed
from harness.engine.watching import autoscalers, baseline, machine, metrics, observe, releases, settle, steady, traffic
from harness.engine.watching.readiness import Readiness
from harness.errors import AbortTriggered, ApiError, HarnessError, NeverBegun, PreconditionFailed, first
from harness.journal.writer import Journal
from harness.model.experiment import Experiment
from harness.model.plan import Plan
from harness.model.verdict import Verdict
from harness.report.inert import inert
from harness.resources import resource
from harness.steps.worker import Worker

Walk = Callable[[Session], Awaitable[None]]


def run(experiment: Experiment, options: Options) -> Outcome:
    """Run one experiment to its verdict.

    Raises UsageError and PreconditionFailed when there is no cluster or no right to touch it; whatever comes after that
    is in the outcome. A system that is not fit to be judged is INCONCLUSIVE, and `begun` is false.
    """
    return anyio.run(execute, experiment, options)


def dry_run(experiment: Experiment, options: Options) -> str:
    """Show what a run would touch, by name and UID, and touch nothing."""

    async def show() -> str:
        if clusterless.meant(experiment, options):
            await activities.check(experiment, clusterless.ENVIRONMENT)
            return plan.text(experiment, Plan.nothing("dry", _seed(options), clusterless.CONTEXT))
        kube, cluster = contexts.connect(options.kubeconfig, options.context)
        traffic.require(kube, cluster, experiment.load)
        metrics.require()
        await activities.check(experiment, {"HARNESS_CONTEXT": kube.context})
        async with kube:
            found = await scope.find(kube, experiment)
            try:
                planned = await plan.resolve(kube, experiment, run="dry", seed=_seed(options), alone=found.alone)
            except ApiError as error:
                if error.status != 403:
                    raise
                raise scope.lacking(kube, experiment, error) from error
        lines = (
            [f"  gateway  {traffic.gateway(kube, cluster)}"] if experiment.load and experiment.load.at_gateway else []
        )
        lines += [f"  unseen   {found.unseen}"] if found.alone else []
        return "\n".join([plan.text(experiment, planned), *inert(lines)])

    return anyio.run(show)


async def execute(experiment: Experiment, options: Options, walk: Walk = method.walk) -> Outcome:
    """Run one experiment inside an event loop; see `run`. `walk` drives the method, from the document by default."""
    if options.dry_run:
        raise PreconditionFailed("a dry run injects nothing", why="this run was asked to", hint="leave out the dry run")
    began = time.monotonic()
    identity = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    nobody = clusterless.meant(experiment, options)
    kube, cluster = (clusterless.Nowhere(), None) if nobody else contexts.connect(options.kubeconfig, options.context)
    kubeconfig = None if nobody else passing.hand_on(kube.access)
    environment = clusterless.ENVIRONMENT if nobody else passing.environment(kube.access, local=cluster is not None)
    with contextlib.ExitStack() as undisturbed:
        async with contextlib.AsyncExitStack() as held:
            await held.enter_async_context(kube)
            worker = await held.enter_async_context(Worker(env=environment))
            # Before the lease: what Chaos Toolkit refuses holds nobody up.
            await activities.begin(worker, experiment)
            right = clusterless.hold() if nobody else permission.hold(kube, cluster, experiment, identity)
            lease, healer = await held.enter_async_context(right)
            directory = options.runs / identity
            with Journal(directory, identity) as journal:
                session = Session(
                    experiment=experiment,
                    plan=Plan.nothing(identity, _seed(options), kube.context),
                    kube=kube,
                    cluster=cluster,
                    healer=healer,
                    lease=lease,
                    journal=journal,
                    worker=worker,
                    readiness=Readiness(experiment.blast_radius.namespaces),
                    directory=directory,
                    say=announce.plain(options.say, journal),
                    kubeconfig=kubeconfig,
                    scope=lease.scope,
                )
                announce.head(session, options)
                phases = partial(plain.phases, pick=_plan) if not experiment.promising else partial(_phases, walk=walk)
                try:
                    failure = await _live(session, phases, options.stop)
                    undisturbed.enter_context(abort.undisturbed(session.abort))
                    session.enter("judge")
                    verdict, reason = await ending.judged(session, failure)
                except Exception as bug:
                    # What is still broken is worse news than a bug, and must not be lost behind it.
                    if not session.unclean:
                        raise
                    verdict, reason = Verdict.DIRTY, "; ".join([*session.unclean, f"{type(bug).__name__}: {bug}"])
                ending.close(session, verdict, reason, began)
        # Drawn when the lease is free and the worker gone: the next run need not wait, and memory peaks lower.
        return ending.draw(session, verdict, reason, began)


async def _live(session: Session, phases: Walk, stop: Stop | None) -> HarnessError | None:
    """Walk the phases under observation, then undo what is owed; return the error that cut the walk short."""
    failure: HarnessError | None = None
    bugs: list[Exception] = []

    async def watcher(watch: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Turn the end of a watcher into an abort: a run that is not watched must not go on, but it must be undone."""
        try:
            await watch(*arguments)
        except HarnessError as error:
            session.abort.pull("watch", str(error))
        except Exception as bug:
            bugs.append(bug)
            session.abort.pull("internal", f"{type(bug).__name__}: {bug}")

    async with anyio.create_task_group() as watchers:
        session.beside = lambda *words: watchers.start_soon(watcher, *words)
        _watch(session, session.beside)
        if stop:
            watchers.start_soon(watcher, abort.on_stop, session.abort, stop)
        try:
            with session.abort.scope:
                await phases(session)
        except HarnessError as error:
            failure = _unless_abort(session, error)
        except BaseExceptionGroup as group:
            failure = _unless_abort(session, first(group))
        finally:
            session.abort.over = True
            with anyio.CancelScope(shield=True):
                await owed.undo(session)
        if failure:
            session.write("error", what=failure.what, where=failure.where, why=failure.why, hint=failure.hint)
        watchers.cancel_scope.cancel()
    if bugs:
        raise bugs[0]
    return failure


def _unless_abort(session: Session, error: HarnessError) -> HarnessError | None:
    """Take an effect that was refused for a lost lease as the abort that it is."""
    if isinstance(error, AbortTriggered):
        session.abort.pull("lease", f"{error.what}: {error.why}")
        return None
    return error


def _watch(session: Session, start: Callable[..., object]) -> None:
    start(abort.on_signal, session.abort, lambda: session.healer, session.say)
    if session.experiment.controlled:
        start(activities.on_wish, session)
    if isinstance(session.kube, clusterless.Nowhere):
        return
    start(abort.on_lost_lease, session.abort, session.lease, session.say)
    for namespace in permission.levers(session.scope, session.experiment.blast_radius.namespaces):
        start(abort.on_lever, session.abort, session.kube, namespace)
    start(machine.watch, session)
    start(abort.on_lost_healer, session.abort, session.healer)
    for path in resource.collections(*session.scope.inside):
        start(healing.on_deleted, session, path)
    for namespace in session.experiment.blast_radius.namespaces:
        start(observe.workloads, session.kube, namespace, session.write, session.readiness)
        start(observe.budgets, session.kube, namespace, session.write)
        start(observe.events, session.kube, namespace, session.write)
        start(releases.watch, session.kube, namespace, session.write)
        start(autoscalers.watch, session.kube, namespace, session.write)
    rule, load = session.experiment.abort_when, session.experiment.load
    if rule and load:
        start(
            abort.on_breach,
            session.abort,
            rule,
            lambda start, end: traffic.due(session, start, end),
            session.journal.now,
            lambda: session.steady_load_from,
            session.recent,
        )


async def _phases(session: Session, walk: Walk) -> None:
    phases = session.experiment.phases
    await activities.enter(session, "experiment")
    session.enter("settle")
    await settle.require_parts(session)
    # Already under load: a breaker closes only when somebody calls, and a probe may ask what callers get.
    await traffic.start(session)
    until = session.journal.now() + phases.settle
    await settle.settle(session, until)
    await _plan(session)
    await baseline.hold(session, until)
    session.enter("inject")
    session.begun = True
    await walk(session)
    session.enter("hold")
    async with anyio.create_task_group() as together:
        together.start_soon(anyio.sleep, phases.hold)
        together.start_soon(method.hold, session, list(session.owed.values()))
    session.enter("heal")
    await method.settle(session, list(session.owed.values()), phases.recovery)
    await activities.roll_back(session)
    session.enter("recovery")
    with anyio.move_on_after(phases.recovery):
        await steady.again(session)
    if not steady.record(session, await steady.ask(session)):
        session.deviated = True
        session.say("the hypothesis does not hold after the recovery")


async def _plan(session: Session) -> None:
    """Pick the targets; raises NeverBegun when the cluster, as it is, has none that the document allows."""
    run, seed = session.plan.run, session.plan.seed
    if not isinstance(session.kube, clusterless.Nowhere):
        try:
            session.plan = await plan.resolve(
                session.kube, session.experiment, run=run, seed=seed, alone=session.scope.alone
            )
            await permission.admit_reached(session, session.plan.faults)
        except ApiError:
            raise
        except HarnessError as error:
            raise NeverBegun(error.what, where=error.where, why=error.why, hint=error.hint) from error
    session.planned = True
    announce.targets(session)


def _seed(options: Options) -> int:
    return options.seed if options.seed is not None else secrets.randbelow(1_000_000)
