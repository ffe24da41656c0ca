"""A run that somebody else drives: its method comes from outside, call by call, while the engine does all the rest.

The run lives in a thread of its own: preflight, plan, load, baseline and every watcher before the first call; hold,
heal, recovery and judgement after `finish`. Signals stay with whoever drives; a process that dies is healed after by
the keeper, as with any run. Nobody waits for the run for ever: what takes too long is cut, and undone.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import Any, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from harness.documents import foreign
from harness.documents.provider import ACTIONS
from harness.engine import activities, additions, contexts, method
from harness.engine import run as engine
from harness.engine.options import Options, Outcome, Stop
from harness.engine.session import Session
from harness.errors import AbortTriggered, InjectionFailed, UndoFailed, first
from harness.model.experiment import Activity, Experiment
from harness.model.plan import PlannedFault

T = TypeVar("T")
# What a call may take besides the phases: preflight, evidence, injections with deadlines of their own.
SPARE_SECONDS = 1800.0
# What a run that was cut may take: the undo, a look whether it was done, the end of the load, the report.
UNDO_SECONDS = 180.0
_current: Live | None = None


def current() -> Live | None:
    """Return the run that this process drives, if it drives one."""
    return _current


def heal_named(name: str) -> list[str]:
    """Undo the faults of one step of the run that this process drives."""
    return _current.heal_step(name) if _current else []


class Live:
    """One run, driven from outside."""

    def __init__(self, experiment: Experiment, options: Options) -> None:
        self._stop = options.stop or Stop()
        self.experiment, self.options = experiment, replace(options, stop=self._stop)
        # Of the thread that performs it: what runs in the background has one of its own.
        self.here = threading.local()
        self.outcome: Outcome | None = None
        self.ended = False
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._whole: anyio.CancelScope | None = None
        self._cut_why = ""
        self._failed: Sequence[str] = ()
        self._portal: BlockingPortal | None = None
        self._session: Session | None = None
        self._over: anyio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="harness run", daemon=True)

    def start(self) -> None:
        """Begin the run and return when its baseline is over; raises whatever kept it from beginning."""
        global _current
        self._thread.start()
        try:
            began = self._ready.wait(self._patience())
        except BaseException:  # Ctrl-C, or what a signal's handler threw into the wait
            self.join() if self.ended else self._cut("interrupted")
            raise
        if not began:
            self._cut(f"it had not begun after {self._patience():g} s")
        if self._portal is None:
            self._thread.join(UNDO_SECONDS)
            raise self._why()
        _current = self

    @property
    def environment(self) -> dict[str, str]:
        """Name the run's cluster to probes that run in the process that drives."""
        session = self._session
        if session is None:
            return {}
        kubeconfig, context = str(session.kubeconfig), session.kube.context
        named = {"HARNESS_CONTEXT": context, "HARNESS_LOCAL": "1" if session.cluster else "0"}
        # What foreign steps ask with, too.
        return named | {"HARNESS_KUBECONFIG": kubeconfig, "KUBECONFIG": kubeconfig, "KUBERNETES_CONTEXT": context}

    def begin_method(self) -> None:
        """Have the run's end roll the document back from now on; raises AbortTriggered when the run is over."""
        self._call(self._begin_method)

    def perform_named(self) -> dict[str, Any]:
        """Inject the faults of the activity that is being run; raises InjectionFailed."""
        return self._call(self._perform, getattr(self.here, "activity", ""))

    def provider(self, context: Mapping[str, Any]) -> dict[str, Any] | None:
        """Say what to call in place of a step of another driver that was read as a fault, or as the end of one."""
        named = [one for one in self.experiment.method if one.name == str(context.get("name", "")).strip()]
        called = foreign.function(context.get("provider") or {})
        step = next((one for one in named if foreign.function(one.provider) == called), None)
        if step is None or step.provider.get("module") == ACTIONS or not (step.fault or step.heals):
            return None
        if step.fault:
            return {"type": "python", "module": ACTIONS, "func": step.fault.kind, "arguments": {"target": {}}}
        return {"type": "python", "module": __name__, "func": heal_named.__name__, "arguments": {"name": step.heals}}

    def heal_step(self, name: str) -> list[str]:
        """Undo the faults of one step and name what they touched."""
        session = self._session
        faults = tuple(fault for fault in session.owed.values() if fault.activity == name) if session else ()
        self.heal(faults)
        return [str(fault.victim) for fault in faults]

    def inject(self, activity: Activity) -> tuple[PlannedFault, ...]:
        """Plan and inject a fault that the plan does not hold yet; raises UsageError and InjectionFailed."""
        return self._call(self._add, activity, patience=self._patience(activity))

    def heal(self, faults: tuple[PlannedFault, ...]) -> None:
        """See these faults felt, undo them and wait until the system has what it lost."""
        self._call(self._settle, faults)

    def finish(self, *, abort: str = "", failed: Sequence[str] = ()) -> Outcome:
        """Let the run go on to its verdict, or cut it short for a reason; raises what ended it otherwise.

        `failed` names steps that somebody else ran and that did not succeed: such a run proves nothing.
        """
        global _current
        _current = None if _current is self else _current
        try:
            if abort:
                self._pull(abort)
            else:
                with contextlib.suppress(AbortTriggered):  # then the run is on its way to a verdict by itself
                    self._call(self._end, failed)
            self._thread.join(self._undo_seconds() if abort else self._patience())
        except BaseException:
            self._pull("interrupted")
            self.join()
            raise
        if self._thread.is_alive():
            self._cut("it did not end")
        if self.outcome is None:
            raise self._why()
        return self.outcome

    def end_now(self, reason: str) -> None:
        """Cut the run short, from any thread; it undoes and judges, and whoever drives it is told at its next call."""
        self.ended = True
        # Before its method the run hears only this; a second word changes nothing.
        self._stop.ask(reason)
        if self._session:
            self._pull(reason)

    def join(self) -> None:
        """Wait until a run that was cut short has come to its end."""
        self._thread.join(self._undo_seconds())

    def _patience(self, *added: Activity) -> float:
        """Return how long the run may take, in seconds, with steps that its document does not hold."""
        phases, caps = self.experiment.phases, self.experiment.blast_radius
        targets, steps = caps.pods + caps.nodes, (*self.experiment.method, *added)
        found = (
            SPARE_SECONDS
            + self._undo_seconds()
            + method.longest(steps, phases.recovery, targets)
            + phases.baseline
            + phases.hold
            + phases.recovery * (2 + targets)
        )
        return min(found, threading.TIMEOUT_MAX)

    def _undo_seconds(self) -> float:
        return UNDO_SECONDS + activities.STEP_SECONDS * len(self.experiment.rollbacks)

    def _pull(self, reason: str) -> None:
        """Abort the run as any trigger does, in whatever phase it is; it undoes and judges."""
        session, loop = self._session, self._loop
        if session and loop:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the run is over
                loop.call_soon_threadsafe(session.abort.pull, "driver", reason)
        elif self._thread.is_alive():
            self._cut(reason)

    def _cut(self, why: str) -> None:
        """End a run that has not come to its method, or does not end; raises UndoFailed when it goes on even so."""
        self._cut_why = why
        if self._loop and self._whole:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._whole.cancel)
        self._thread.join(self._undo_seconds())
        if self._thread.is_alive():
            raise UndoFailed(
                "the run was cut and does not end", why=why, hint="`harness undo` once this process is gone"
            )

    def _why(self) -> BaseException:
        if self._failure:
            return self._failure
        if self._session and self._session.unclean:
            undo = contexts.command(self._session.kube, "harness", "undo", *self._session.scope.words)
            return UndoFailed("something is still broken", why="; ".join(self._session.unclean), hint=undo)
        if self._cut_why:
            return AbortTriggered("the run was cut short", why=self._cut_why)
        reason = self.outcome.reason if self.outcome else "it ended by itself"
        return InjectionFailed("the run ended before its method began", why=reason)

    def _run(self) -> None:
        try:
            self.outcome = anyio.run(self._execute)
        except BaseException as error:  # raised again in the thread that drives
            self._failure = error
        finally:
            self._portal = None
            self._ready.set()

    async def _execute(self) -> Outcome | None:
        with anyio.CancelScope() as self._whole:
            self._loop = asyncio.get_running_loop()
            if self._cut_why:
                self._whole.cancel()
            return await engine.execute(self.experiment, self.options, self._walk)
        return None

    async def _walk(self, session: Session) -> None:
        self._session, self._over = session, anyio.Event()
        try:
            async with BlockingPortal() as portal:
                self._portal = portal
                self._ready.set()
                await self._over.wait()
        finally:
            self._portal = None
        if self._failed:
            raise InjectionFailed(f"not every step succeeded: {', '.join(self._failed)}")

    def _call(self, act: Callable[..., Awaitable[T]], *arguments: Any, patience: float = 0.0) -> T:
        portal, session = self._portal, self._session
        reason = (session.abort.reason if session else "") or "the run is over"
        if portal is None or session is None:
            raise AbortTriggered("the run no longer takes orders", why=reason)
        try:
            step = portal.start_task_soon(act, session, *arguments)
        except RuntimeError as error:  # the portal has closed since
            raise AbortTriggered("the run was cut short", why=session.abort.reason or str(error)) from None
        patience = patience or self._patience()
        try:
            return step.result(patience)
        except TimeoutError:
            if step.done():
                raise
            why = f"a step took longer than {patience:g} s"
            self._pull(why)
            raise AbortTriggered("the run was cut short", why=why) from None
        except CancelledError:
            raise AbortTriggered("the run was cut short", why=session.abort.reason) from None
        except BaseExceptionGroup as group:
            raise first(group) from group

    async def _begin_method(self, session: Session) -> None:
        session.method_begun = True

    async def _perform(self, session: Session, name: str) -> dict[str, Any]:
        activity = next((one for one in session.experiment.method if one.name == name and one.fault), None)
        if activity is None or activity.fault is None:
            raise InjectionFailed(f"{name!r} is not a fault of this run's plan")
        if name in session.plan.left_out:
            return {"run": session.plan.run, "touched": [], "left out": f"by seed {session.plan.seed}"}
        await method.perform(session, activity, method.planned(session, activity))
        return {"run": session.plan.run, "touched": [str(one.victim) for one in method.planned(session, activity)]}

    async def _add(self, session: Session, activity: Activity) -> tuple[PlannedFault, ...]:
        added = await additions.add(session, activity)
        session.experiment = replace(session.experiment, method=(*session.experiment.method, activity))
        await method.perform(session, activity, added)
        return added

    async def _settle(self, session: Session, faults: tuple[PlannedFault, ...]) -> None:
        owed = [fault for fault in faults if fault.id in session.owed]
        await method.settle(session, owed, session.experiment.phases.recovery)

    async def _end(self, _: Session, failed: Sequence[str]) -> None:
        assert self._over
        self._failed = failed
        self._over.set()
