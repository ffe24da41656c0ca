"""Run one experiment: preflight, plan, baseline, inject, hold, heal, recovery, judge, report.

Whatever ends the walk early, the undo is the same shielded block, and it begins at once.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio

from harness import __version__, report
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine import abort, contexts, judge, lever, method, metrics, observe, plan, steady, traffic
from harness.engine.lease import SECONDS as LEASE_SECONDS
from harness.engine.lease import Lease
from harness.engine.options import Options, Outcome
from harness.engine.session import Session
from harness.errors import Exit, HarnessError, InjectionFailed, PreconditionFailed
from harness.journal import operations, reader
from harness.journal.writer import Journal
from harness.keeper.client import Keeper
from harness.model import catalogue
from harness.model.experiment import Experiment
from harness.model.fault import Hand
from harness.model.plan import Plan, PlannedFault
from harness.model.verdict import Finding, State, Verdict, fold
from harness.steps import Worker

KEEPER_SECONDS = 25.0
KEEPER_RETRY_SECONDS = 0.1
Walk = Callable[[Session], Awaitable[None]]
WAITING = ("baseline", "inject", "hold", "heal", "recovery")


def run(experiment: Experiment, options: Options) -> Outcome:
    """Run one experiment to its verdict.

    Raises UsageError and PreconditionFailed before anything was touched; afterwards every error is in the outcome.
    """
    return anyio.run(execute, experiment, options)


def dry_run(experiment: Experiment, options: Options) -> str:
    """Show what a run would touch, by name and UID, and touch nothing."""

    async def show() -> str:
        kube, _ = contexts.connect(options.kubeconfig, options.context)
        async with kube:
            return plan.text(experiment, await plan.resolve(kube, experiment, run="dry", seed=_seed(options)))

    return anyio.run(show)


async def execute(experiment: Experiment, options: Options, walk: Walk = method.walk) -> Outcome:
    """Run one experiment inside an event loop; see `run`. `walk` drives the method, from the document by default."""
    began = time.monotonic()
    identity = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    kube, cluster = contexts.connect(options.kubeconfig, options.context)
    environment = {"HARNESS_CONTEXT": kube.context}
    if cluster or options.kubeconfig:
        environment["HARNESS_KUBECONFIG"] = str(cluster.kubeconfig if cluster else options.kubeconfig)
    async with kube, Worker(env=environment) as worker, _permission(kube, cluster, experiment, identity) as right:
        lease, keeper = right
        planned = await plan.resolve(kube, experiment, run=identity, seed=_seed(options))
        directory = options.runs / identity
        with Journal(directory, identity) as journal:
            session = Session(
                experiment=experiment,
                plan=planned,
                kube=kube,
                cluster=cluster,
                keeper=keeper,
                lease=lease,
                journal=journal,
                worker=worker,
                readiness=observe.Readiness(experiment.blast_radius.namespaces),
                directory=directory,
                say=_plain(options.say, journal),
            )
            _announce(session, planned)
            failure = await _live(session, walk)
            session.enter("judge")
            verdict, reason = await _judge(session, failure)
            _close(session, verdict, reason, began)
    # Drawn when the lease is free and the worker gone: the next run need not wait, and memory peaks lower.
    return _report(session, verdict, reason, began)


@contextlib.asynccontextmanager
async def _permission(
    kube: Kube, cluster: LocalCluster | None, experiment: Experiment, identity: str
) -> AsyncIterator[tuple[Lease, Keeper | None]]:
    """Hold everything a run needs before it may act: no lever, an opt-in, the keeper's ear, the lease."""
    pulled = await lever.read(kube)
    if pulled:
        raise PreconditionFailed(
            "the lever is on",
            where=kube.context,
            why=f"{pulled.get('who')}: {pulled.get('reason')}",
            hint="harness lever off",
        )
    if cluster is None:
        await contexts.require_opt_in(kube, experiment.blast_radius.namespaces)
        if any(catalogue.FAULTS[spec.kind].hand is not Hand.API for spec in experiment.faults):
            raise PreconditionFailed(
                "faults of the host hand need the local cluster's keeper", where=kube.context, hint="harness up"
            )
    keeper = await Keeper.connect(cluster.keeper_socket, identity, LEASE_SECONDS) if cluster else None
    lease = Lease(kube, identity)
    try:
        await lease.acquire(holder_is_dead=keeper is not None)
        yield lease, keeper
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(5):
            with contextlib.suppress(HarnessError):
                await lease.release()
            if keeper:
                await keeper.end()


async def _live(session: Session, walk: Walk) -> HarnessError | None:
    """Walk the phases under observation, then undo what is owed; return the error that cut the walk short."""
    failure: HarnessError | None = None
    async with anyio.create_task_group() as watchers:
        _watch(session, watchers.start_soon)
        try:
            with session.abort.scope:
                await _phases(session, walk)
        except HarnessError as error:
            failure = error
        except BaseExceptionGroup as group:
            failure = _first(group)
        finally:
            with anyio.CancelScope(shield=True):
                await _undo(session)
        if failure:
            session.write("error", what=failure.what, where=failure.where, why=failure.why, hint=failure.hint)
        watchers.cancel_scope.cancel()
    return failure


def _first(group: BaseExceptionGroup[BaseException]) -> HarnessError:
    """Return the error a user should read; anything that is not ours is a bug and goes on as it is."""
    ours, others = group.split(HarnessError)
    if others or ours is None:
        raise group
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, HarnessError)
    return error


def _watch(session: Session, start: Callable[..., object]) -> None:
    start(abort.on_signal, session.abort, session.say)
    start(abort.on_lost_lease, session.abort, session.lease, session.keeper, session.say)
    start(abort.on_lever, session.abort, session.kube)
    if session.keeper:
        start(abort.on_lost_keeper, session.abort, session.keeper)
    for plural in ("faults", "nodefaults"):
        start(method.on_deleted, session, plural)
    for namespace in session.experiment.blast_radius.namespaces:
        start(observe.deployments, session.kube, namespace, session.write, session.readiness)
        start(observe.budgets, session.kube, namespace, session.write)
        start(observe.events, session.kube, namespace, session.write)
    rule = session.experiment.abort_when
    if rule and session.experiment.load:
        start(abort.on_breach, session.abort, rule, lambda seconds: traffic.recent(session, seconds))


async def _phases(session: Session, walk: Walk) -> None:
    phases = session.experiment.phases
    session.enter("baseline")
    await traffic.start(session)
    if not await steady.hypothesis_holds(session):
        raise InjectionFailed(
            "the system was not steady before the first fault",
            why="the hypothesis did not hold",
            hint="`harness doctor`, then look at the probe that failed",
        )
    await anyio.sleep(phases.baseline)
    await steady.complete(session)
    session.enter("inject")
    await walk(session)
    session.enter("hold")
    async with anyio.create_task_group() as together:
        together.start_soon(anyio.sleep, phases.hold)
        together.start_soon(method.feel, session, list(session.owed.values()))
    session.enter("heal")
    await method.settle(session, list(session.owed.values()), phases.recovery)
    session.enter("recovery")
    with anyio.move_on_after(phases.recovery):
        await steady.again(session)
    if not await steady.hypothesis_holds(session):
        session.say("the hypothesis does not hold after the recovery")


async def _undo(session: Session) -> None:
    """Undo everything that is still owed, all at once, and say how long an abort took to get here."""
    if session.abort:
        latency = time.monotonic() - session.abort.at
        trigger, why = session.abort.trigger, session.abort.reason
        session.write("abort", trigger=trigger, why=why, latency=latency)
        session.say(f"ABORT      {why}; undo began after {latency * 1000:.0f} ms")
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
    await traffic.stop(session)


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
    if await method.undo(session, fault) and fault.id in session.injected:
        with anyio.move_on_after(method.HEAL_SECONDS):
            await method.see_healed(session, fault)


async def _judge(session: Session, failure: HarnessError | None) -> tuple[Verdict, str]:
    await metrics.collect(session)
    events = reader.read(session.directory)
    seen = judge.history(events, operations.read(session.directory))
    findings = judge.findings(session.experiment, seen, events)
    if failure and not session.abort:
        findings.append(Finding("run", State.UNKNOWN, failure.what + (f": {failure.why}" if failure.why else "")))
    for finding in findings:
        session.write(
            "finding",
            checker=finding.checker,
            state=finding.state,
            summary=finding.summary,
            target=finding.target,
            baseline=finding.baseline,
            in_fault=finding.in_fault,
            recovery=finding.recovery,
            detail=dict(finding.detail),
        )
    if not findings and not session.abort:
        findings = [Finding("run", State.UNKNOWN, "nothing was judged: no objective, no hypothesis")]
    verdict = fold(findings, undone=not session.dirty, aborted=bool(session.abort))
    return verdict, _reason(session, verdict, findings)


def _reason(session: Session, verdict: Verdict, findings: list[Finding]) -> str:
    match verdict:
        case Verdict.DIRTY:
            return "; ".join(session.dirty.values())
        case Verdict.ABORTED:
            return session.abort.reason
        case Verdict.DEVIATED:
            return "; ".join(f"{item.checker}: {item.summary}" for item in findings if item.state is State.BROKEN)
        case Verdict.INCONCLUSIVE:
            return "; ".join(f"{item.checker}: {item.summary}" for item in findings if item.state is State.UNKNOWN)
        case Verdict.PASS:
            return ""


def _close(session: Session, verdict: Verdict, reason: str, began: float) -> None:
    declared = session.experiment.expect
    seconds = time.monotonic() - began
    session.write(
        "verdict",
        verdict=verdict,
        expected=declared.verdict,
        right=verdict is declared.verdict,
        reason=reason,
        exit=_exit(session, verdict),
        seconds=seconds,
        overhead=seconds - _waited(session),
    )
    session.write("run.end")


def _report(session: Session, verdict: Verdict, reason: str, began: float) -> Outcome:
    text = report.write(session.directory)
    seconds = time.monotonic() - began
    right = verdict is session.experiment.expect.verdict
    return Outcome(
        verdict=verdict,
        exit=_exit(session, verdict),
        right=right,
        run=session.plan.run,
        dir=session.directory,
        text=text,
        seconds=seconds,
        overhead=seconds - _waited(session),
        reason=reason,
    )


def _waited(session: Session) -> float:
    return sum(session.spans.get(phase, 0.0) for phase in WAITING)


def _exit(session: Session, verdict: Verdict) -> int:
    """Give the exit code: a run that ends as declared passes, one that passes although it should not deviates."""
    if session.abort.trigger.startswith("SIG") and verdict is not Verdict.DIRTY:
        return int(Exit.INTERRUPTED)
    if verdict is session.experiment.expect.verdict:
        return int(Exit.PASS)
    return int(Exit.DEVIATED if verdict is Verdict.PASS else verdict.exit)


def _seed(options: Options) -> int:
    return options.seed if options.seed is not None else secrets.randbelow(1_000_000)


def _announce(session: Session, planned: Plan) -> None:
    experiment = session.experiment
    session.write(
        "run.start",
        run=planned.run,
        experiment=experiment.name,
        title=experiment.title,
        hypothesis=experiment.hypothesis,
        path=str(experiment.path),
        seed=planned.seed,
        context=planned.context,
        version=__version__,
        expect=experiment.expect.verdict,
        argv=[Path(sys.argv[0]).name, *sys.argv[1:]],
    )
    session.write(
        "plan",
        intent=planned.intent,
        resolved=planned.resolved,
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
    touched = ", ".join(str(fault.victim) for fault in planned.faults) or "nothing"
    session.say(f"{experiment.name}  run {planned.run}  seed {planned.seed}  {planned.context}  touches {touched}")


def _plain(say: Callable[[str], None] | None, journal: Journal) -> Callable[[str], None]:
    """Give each line the seconds since the run began; without a listener, lines go nowhere."""
    return (lambda line: say(f"{journal.now():7.2f}  {line}")) if say else (lambda _: None)
