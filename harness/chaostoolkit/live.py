"""A run that somebody else drives: its method comes from outside, call by call, while the engine does all the rest.

The run lives in a thread of its own: preflight, plan, load, baseline and every watcher before the first call; hold,
heal, recovery and judgement after `finish`. Signals stay with whoever drives; a process that dies is healed after by
the keeper, as with any run.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import Any, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from harness.engine import method, plan
from harness.engine import run as engine
from harness.engine.options import Options, Outcome
from harness.engine.session import Session
from harness.errors import AbortTriggered, InjectionFailed
from harness.model.experiment import Activity, Experiment
from harness.model.plan import PlannedFault

T = TypeVar("T")
_current: Live | None = None


def current() -> Live | None:
    """Return the run that this process drives, if it drives one."""
    return _current


class Live:
    """One run, driven from outside."""

    def __init__(self, experiment: Experiment, options: Options) -> None:
        self.experiment, self.options = experiment, options
        self.activity = ""
        self.outcome: Outcome | None = None
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._portal: BlockingPortal | None = None
        self._session: Session | None = None
        self._over: anyio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="harness run", daemon=True)

    def start(self) -> None:
        """Begin the run and return when its baseline is over; raises whatever kept it from beginning."""
        global _current
        self._thread.start()
        self._ready.wait()
        if self._portal is None:
            self._thread.join()
            raise self._why()
        _current = self

    @property
    def environment(self) -> dict[str, str]:
        """Name the run's cluster to probes that run in the process that drives."""
        session = self._session
        if session is None:
            return {}
        kubeconfig = session.cluster.kubeconfig if session.cluster else self.options.kubeconfig
        named = {"HARNESS_CONTEXT": session.kube.context}
        return named | ({"HARNESS_KUBECONFIG": str(kubeconfig)} if kubeconfig else {})

    def perform_named(self) -> dict[str, Any]:
        """Inject the faults of the activity that is being run; raises InjectionFailed."""
        return self._call(self._perform, self.activity)

    def inject(self, activity: Activity) -> tuple[PlannedFault, ...]:
        """Plan and inject a fault that the plan does not hold yet; raises UsageError and InjectionFailed."""
        return self._call(self._add, activity)

    def heal(self, faults: tuple[PlannedFault, ...]) -> None:
        """See these faults felt, undo them and wait until the system has what it lost."""
        self._call(self._settle, faults)

    def finish(self, *, abort: str = "") -> Outcome:
        """Let the run go on to its verdict, or cut it short for a reason; raises what ended it otherwise."""
        global _current
        _current = None if _current is self else _current
        with contextlib.suppress(AbortTriggered):  # then the run is on its way to a verdict by itself
            self._call(self._end, abort)
        self._thread.join()
        if self.outcome is None:
            raise self._why()
        return self.outcome

    def _why(self) -> BaseException:
        if self._failure:
            return self._failure
        reason = self.outcome.reason if self.outcome else "it ended by itself"
        return InjectionFailed("the run ended before its method began", why=reason)

    def _run(self) -> None:
        try:
            self.outcome = anyio.run(engine.execute, self.experiment, self.options, self._walk)
        except BaseException as error:  # raised again in the thread that drives
            self._failure = error
        finally:
            self._portal = None
            self._ready.set()

    async def _walk(self, session: Session) -> None:
        self._session, self._over = session, anyio.Event()
        try:
            async with BlockingPortal() as portal:
                self._portal = portal
                self._ready.set()
                await self._over.wait()
        finally:
            self._portal = None

    def _call(self, act: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        portal, session = self._portal, self._session
        reason = (session.abort.reason if session else "") or "the run is over"
        if portal is None or session is None:
            raise AbortTriggered("the run no longer takes orders", why=reason)
        try:
            return portal.call(act, session, *arguments)
        except (CancelledError, RuntimeError) as error:
            raise AbortTriggered("the run was cut short", why=session.abort.reason or str(error)) from None

    async def _perform(self, session: Session, name: str) -> dict[str, Any]:
        activity = next((one for one in session.experiment.method if one.name == name and one.fault), None)
        if activity is None or activity.fault is None:
            raise InjectionFailed(f"{name!r} is not a fault of this run's plan")
        faults = [fault for fault in session.plan.faults if fault.activity == name]
        await method.inject_in_groups(session, faults, activity.fault.target.at_once)
        return {"run": session.plan.run, "touched": [str(fault.victim) for fault in faults]}

    async def _add(self, session: Session, activity: Activity) -> tuple[PlannedFault, ...]:
        assert activity.fault
        before = session.plan
        alone = replace(session.experiment, method=(activity,))
        number = len(session.experiment.method) + 1
        added = await plan.resolve(session.kube, alone, run=f"{before.run}-{number}", seed=before.seed)
        faults = (*before.faults, *added.faults)
        plan.require_caps(session.experiment, faults)
        session.experiment = replace(session.experiment, method=(*session.experiment.method, activity))
        session.plan = replace(before, faults=faults, resolved=added.resolved)
        session.write(
            "plan", intent=before.intent, resolved=added.resolved, faults=[plan.record(one) for one in added.faults]
        )
        await method.inject_in_groups(session, added.faults, activity.fault.target.at_once)
        return added.faults

    async def _settle(self, session: Session, faults: tuple[PlannedFault, ...]) -> None:
        owed = [fault for fault in faults if fault.id in session.owed]
        await method.settle(session, owed, session.experiment.phases.recovery)

    async def _end(self, session: Session, abort: str) -> None:
        assert self._over
        if abort:
            session.abort.pull("driver", abort)
        self._over.set()
