"""Run one experiment: preflight, plan, baseline, inject, hold, heal, recovery, judge, report.

Whatever ends the walk early, the undo is the same shielded block, and it begins at once.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from harness import __version__
from harness.cluster.kubeconfig import passing
from harness.engine import (
    abort,
    activities,
    contexts,
    ending,
    judge,
    machine,
    method,
    nowhere,
    observe,
    permission,
    plain,
    plan,
    scope,
    settle,
    steady,
    traffic,
)
from harness.engine.lease import SECONDS as LEASE_SECONDS
from harness.engine.options import Options, Outcome, Stop
from harness.engine.readiness import Readiness
from harness.engine.session import Session
from harness.errors import AbortTriggered, ApiError, HarnessError, NeverBegun, PreconditionFailed
from harness.faults import resource
from harness.journal import operations, reader
from harness.journal.writer import Journal
from harness.keeper.client import Keeper
from harness.model.experiment import Experiment
from harness.model.plan import Plan, PlannedFault
from harness.model.verdict import Verdict
from harness.steps import Worker

KEEPER_SECONDS = 25.0
KEEPER_RETRY_SECONDS = 0.1
WAYS_IN = ("HARNESS_GATEWAY", "HARNESS_HOST", "HARNESS_PROMETHEUS")
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
        if nowhere.meant(experiment, options):
            return plan.text(experiment, Plan.nothing("dry", _seed(options), nowhere.CONTEXT))
        kube, _ = contexts.connect(options.kubeconfig, options.context)
        async with kube:
            found = await scope.find(kube, experiment)
            try:
                planned = await plan.resolve(kube, experiment, run="dry", seed=_seed(options), alone=found.alone)
            except ApiError as error:
                if error.status != 403:
                    raise
                raise scope.lacking(kube, experiment, error) from error
        return "\n".join([plan.text(experiment, planned), *([f"  unseen   {found.unseen}"] if found.alone else [])])

    return anyio.run(show)


async def execute(experiment: Experiment, options: Options, walk: Walk = method.walk) -> Outcome:
    """Run one experiment inside an event loop; see `run`. `walk` drives the method, from the document by default."""
    if options.dry_run:
        raise PreconditionFailed("a dry run injects nothing", why="this run was asked to", hint="leave out the dry run")
    began = time.monotonic()
    identity = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    nobody = nowhere.meant(experiment, options)
    kube, cluster = (nowhere.Nowhere(), None) if nobody else contexts.connect(options.kubeconfig, options.context)
    kubeconfig = None if nobody else passing.hand_on(kube.access)
    environment = {"HARNESS_CONTEXT": kube.context, "HARNESS_KUBECONFIG": str(kubeconfig)}
    environment |= {"HARNESS_LOCAL": "1"} if cluster else {}
    async with contextlib.AsyncExitStack() as held:
        await held.enter_async_context(kube)
        worker = await held.enter_async_context(Worker(env=nowhere.ENVIRONMENT if nobody else environment))
        # Before the lease: what Chaos Toolkit refuses holds nobody up.
        await activities.begin(worker, experiment)
        right = nowhere.hold() if nobody else permission.hold(kube, cluster, experiment, identity)
        lease, keeper = await held.enter_async_context(right)
        directory = options.runs / identity
        with Journal(directory, identity) as journal:
            session = Session(
                experiment=experiment,
                plan=Plan.nothing(identity, _seed(options), kube.context),
                kube=kube,
                cluster=cluster,
                keeper=keeper,
                lease=lease,
                journal=journal,
                worker=worker,
                readiness=Readiness(experiment.blast_radius.namespaces),
                directory=directory,
                say=_plain(options.say, journal),
                kubeconfig=kubeconfig,
                scope=lease.scope,
            )
            _announce(session, options)
            phases = partial(plain.phases, pick=_plan) if not experiment.promising else partial(_phases, walk=walk)
            try:
                failure = await _live(session, phases, options.stop)
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
        _watch(session, lambda *words: watchers.start_soon(watcher, *words))
        if stop:
            watchers.start_soon(watcher, abort.on_stop, session.abort, stop)
        try:
            with session.abort.scope:
                await phases(session)
        except HarnessError as error:
            failure = _unless_abort(session, error)
        except BaseExceptionGroup as group:
            failure = _unless_abort(session, method.first(group))
        finally:
            session.abort.over = True
            with anyio.CancelScope(shield=True):
                await _undo(session)
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
    start(abort.on_signal, session.abort, lambda: session.keeper, session.say)
    if session.experiment.controlled:
        start(activities.on_wish, session)
    if isinstance(session.kube, nowhere.Nowhere):
        return
    start(abort.on_lost_lease, session.abort, session.lease, session.say)
    for namespace in permission.levers(session.scope, session.experiment):
        start(abort.on_lever, session.abort, session.kube, namespace)
    start(machine.watch, session)
    if session.keeper:
        start(abort.on_lost_keeper, session.abort, session.keeper)
    for path in resource.collections(*session.scope.inside):
        start(method.on_deleted, session, path)
    for namespace in session.experiment.blast_radius.namespaces:
        start(observe.workloads, session.kube, namespace, session.write, session.readiness)
        start(observe.budgets, session.kube, namespace, session.write)
        start(observe.events, session.kube, namespace, session.write)
    rule, load = session.experiment.abort_when, session.experiment.load
    if rule and load:
        start(
            abort.on_breach,
            session.abort,
            rule,
            lambda start, end: traffic.due(session, start, end),
            session.journal.now,
            lambda: session.steady_load_from,
            lambda seconds: traffic.recent(session, seconds),
        )


async def _phases(session: Session, walk: Walk) -> None:
    phases = session.experiment.phases
    await activities.enter(session, "experiment")
    session.enter("settle")
    # Already under load: a breaker closes only when somebody calls, and a probe may ask what callers get.
    await traffic.start(session)
    await settle.settle(session)
    await _plan(session)
    session.enter("baseline")
    if session.experiment.load:
        session.steady_load_from = max(session.journal.now(), session.load_from + session.experiment.load.ramp)
    await traffic.begin(session)
    await anyio.sleep(phases.baseline)
    await _judge_baseline(session)
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
    if isinstance(session.kube, nowhere.Nowhere):
        _announce_plan(session)
        return
    try:
        session.plan = await plan.resolve(
            session.kube, session.experiment, run=run, seed=seed, alone=session.scope.alone
        )
    except ApiError:
        raise
    except HarnessError as error:
        raise NeverBegun(error.what, where=error.where, why=error.why, hint=error.hint) from error
    if session.cluster is None and not session.experiment.promising:
        # A document without caps reaches what its nodes hold; whoever lives there must have agreed, too.
        reached = [one for fault in session.plan.faults for one in (fault.victim, *fault.takes)]
        await contexts.require_opt_in(session.kube, tuple(sorted({one.namespace for one in reached if one.namespace})))
    _announce_plan(session)


async def _judge_baseline(session: Session) -> None:
    """Ask the same promises of the baseline and look once more; raises NeverBegun when no fault can be blamed."""
    events = reader.read(session.directory)
    amiss = judge.baseline(session.experiment, judge.history(events, operations.read(session.directory)))
    amiss += await settle.look(session)
    if amiss:
        raise NeverBegun(
            "the system was not fit to be judged before any fault",
            why="; ".join(amiss),
            hint="what does not hold without a fault cannot be blamed on one; `harness doctor`",
        )


async def _undo(session: Session) -> None:
    """Undo everything that is still owed, all at once, and say how long an abort took to get here."""
    _tell_of_abort(session)
    if session.owed:
        session.enter("heal")
        lost = session.keeper if session.keeper and session.keeper.lost.is_set() else None
        if lost:
            await _find_keeper(session, lost)
        async with anyio.create_task_group() as together:
            for fault in list(session.owed.values()):
                together.start_soon(_undo_one, session, fault)
        if lost and session.keeper and session.keeper is not lost:
            await session.keeper.end()
    await activities.roll_back(session)
    await activities.leave(session, "experiment", deviated=session.deviated)
    await traffic.stop(session)
    _tell_of_abort(session)


def _tell_of_abort(session: Session) -> None:
    if session.abort and not session.told_of_abort:
        session.told_of_abort = True
        latency, why = time.monotonic() - session.abort.at, session.abort.reason
        session.write("abort", trigger=session.abort.trigger, why=why, latency=latency)
        session.say(f"ABORT      {why}; undo began after {latency * 1000:.0f} ms")


async def _find_keeper(session: Session, lost: Keeper) -> None:
    """Connect anew to a keeper that gave this run up or came back from the dead: it says what it has healed."""
    assert session.cluster
    with anyio.move_on_after(KEEPER_SECONDS):
        while session.keeper is lost:
            try:
                keeper = await Keeper.connect(session.cluster.keeper_socket, f"{session.plan.run}-undo", LEASE_SECONDS)
            except HarnessError:
                await anyio.sleep(KEEPER_RETRY_SECONDS)
            else:
                session.keeper, session.reach = keeper, replace(session.reach, keeper=keeper)


async def _undo_one(session: Session, fault: PlannedFault) -> None:
    try:
        if await method.undo(session, fault) and fault.id in session.injected:
            with anyio.move_on_after(method.HEAL_SECONDS):
                await method.see_healed(session, fault)
    except Exception as bug:  # one undo that breaks must not cut the others
        session.dirty[fault.id] = f"{fault.kind} on {fault.victim}: {type(bug).__name__}: {bug}"


def _seed(options: Options) -> int:
    return options.seed if options.seed is not None else secrets.randbelow(1_000_000)


def _announce(session: Session, options: Options) -> None:
    experiment, planned = session.experiment, session.plan
    session.write(
        "run.start",
        run=planned.run,
        experiment=experiment.name,
        title=experiment.title,
        hypothesis=experiment.hypothesis,
        path=str(experiment.path),
        seed=planned.seed,
        context=planned.context,
        way=_way(session, options),
        version=__version__,
        expect=experiment.expect.verdict,
        argv=[Path(sys.argv[0]).name, *sys.argv[1:]],
    )
    session.say(f"{experiment.name}  run {planned.run}  seed {planned.seed}  {planned.context}")
    if session.scope.unseen:
        session.write("scope", namespace=session.scope.system, unseen=session.scope.unseen)
        session.say(f"SCOPE      {session.scope.unseen}")


def _way(session: Session, options: Options) -> dict[str, list[str]]:
    """Say how a later command gets to the same cluster, its ways in, and its runs where they are kept elsewhere."""
    way = contexts.way(session.kube)
    around = [f"{name}={shlex.quote(os.environ[name])}" for name in WAYS_IN if os.environ.get(name)]
    runs = [] if options.runs.absolute() == Options().runs.absolute() else ["--runs", str(options.runs)]
    ways = {"variables": list(way.variables), "surroundings": around, "options": list(way.options)}
    return ways | {"scope": list(session.scope.words), "runs": runs}


def _announce_plan(session: Session) -> None:
    experiment, planned = session.experiment, session.plan
    session.write(
        "plan",
        intent=planned.intent,
        resolved=planned.resolved,
        around=list(planned.around),
        shares=list(planned.shares),
        uncovered=list(experiment.uncovered),
        caps={
            "namespaces": list(experiment.blast_radius.namespaces),
            "pods": experiment.blast_radius.pods,
            "nodes": experiment.blast_radius.nodes,
        },
        faults=[plan.record(fault) for fault in planned.faults],
        objectives=[
            {"checker": objective.checker, "parameters": dict(objective.parameters)}
            for objective in experiment.objectives
        ],
    )
    touched = ", ".join(fault.victim.shown for fault in planned.faults) or "nothing"
    session.say(f"PLAN       touches {touched}")
    for share in planned.shares:
        session.say(f"           {share}")
    for words in experiment.uncovered:
        session.say(f"PLAN       not covered: {words}")


def _plain(say: Callable[[str], None] | None, journal: Journal) -> Callable[[str], None]:
    """Give each line the seconds since the run began; without a listener, or with a dead one, lines go nowhere."""

    def plain(line: str) -> None:
        if say:
            # The terminal may be gone by now; that must not end the undo that the line tells of.
            with contextlib.suppress(OSError, ValueError):
                say(f"{journal.now():7.2f}  {line}")

    return plain
