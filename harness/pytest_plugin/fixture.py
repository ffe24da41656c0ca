"""The `chaos` fixture: an experiment written in Python, with the same plan, undo, evidence and verdict as a document.

The run begins with the first fault and ends with `verdict()`, or with the test.
"""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import yaml

from harness.chaostoolkit.live import Live
from harness.documents import document
from harness.documents.fault import COURSE
from harness.documents.provider import ACTIONS
from harness.documents.target import KEYS
from harness.engine.options import Options, Outcome
from harness.errors import Exit, HarnessError, UsageError
from harness.faults import FAULTS
from harness.model.experiment import Experiment
from harness.model.plan import PlannedFault
from harness.model.verdict import Verdict
from harness.pytest_plugin import session, spread
from harness.pytest_plugin.session import Session
from harness.pytest_plugin.wording import in_python

TARGET = tuple(key.replace("-", "_") for key in KEYS)
MARKED = '@pytest.mark.chaos(namespaces=["shop"], pods=1)'


def serve(request: pytest.FixtureRequest) -> Iterator[Chaos]:
    """Hand one test its `chaos`, and end its run whatever the test does."""
    spread.refuse_worker(request.config)
    if request.config.getoption("chaos_dry_run"):
        pytest.skip("dry run: nothing was touched")
    state, item = session.of(request.config), request.node
    state.refuse_after_end(item)
    with state.following(item) as options:
        chaos = Chaos(item, options, state)
    yield chaos
    if state.interrupted:
        # pytest is on its way out and takes no failure any more; what counts is that the run is undone.
        with contextlib.suppress(HarnessError):
            if outcome := chaos.end(abort="interrupted"):
                state.finished(item, item.name, Verdict.PASS, outcome)
        return
    with state.following(item):
        try:
            outcome = chaos.end()
        except pytest.fail.Exception:
            # pytest-timeout struck while the end was waited for; the run is over by now, and its verdict counts.
            outcome = chaos.end()
    if outcome:
        _conclude(state, item, outcome)


def _conclude(state: Session, item: pytest.Item, outcome: Outcome) -> None:
    if item.nodeid in state.asked and outcome.verdict not in (Verdict.ABORTED, Verdict.DIRTY):
        if item.nodeid in state.blamed:
            state.finished(item, item.name, Verdict.PASS, outcome)
        else:
            # The test asked for the verdict and was content with it.
            state.finished(item, item.name, outcome.verdict, replace(outcome, right=True, exit=int(Exit.PASS)))
        return
    state.finished(item, item.name, Verdict.PASS, outcome)
    if outcome.right:
        return
    state.told.add(item.nodeid)
    if state.excuses(outcome):
        pytest.xfail(f"INCONCLUSIVE: {outcome.reason}")
    pytest.fail(outcome.text, pytrace=False)


class Chaos:
    """Break something on purpose, under load, and judge what it did."""

    def __init__(self, item: pytest.Item, options: Options, state: Session) -> None:
        self._node, self._where = item.nodeid, _place(item)
        self._options, self._state = options, state
        self._slo = document.defaults_for(item.path)
        self._folder = item.path.parent
        self._extension: dict[str, Any] = {"name": "harness", "objectives": {}, "blast-radius": self._caps(item)}
        self._method: list[dict[str, Any]] = []
        self._open = 0
        self._live: Live | None = None
        self._outcome: Outcome | None = None

    def load(self, workload: str | None = None, rate: str | None = None, **more: Any) -> None:
        """Send operations at a rate such as 40/s, from before the first fault to the end.

        They are a workload's, by name, or those that a document's `load` would say: `chaos.load(url=..., rate="40/s")`.
        """
        __tracebackhide__ = True
        stated = {"workload": workload, "rate": rate, **{_dashed(name): value for name, value in more.items()}}
        self._stated("load", {key: value for key, value in stated.items() if value is not None})

    def phases(self, **durations: str) -> None:
        """Say how long `baseline`, `hold` and `recovery` may take: `chaos.phases(baseline="3s")`."""
        __tracebackhide__ = True
        self._stated("phases", durations)

    def promise(self, objective: str, **parameters: Any) -> None:
        """State an objective as a document does: `chaos.promise("recovery", within="30s")`."""
        __tracebackhide__ = True
        named = {_dashed(name): value for name, value in parameters.items()}
        self._stated("objectives", {**self._extension["objectives"], objective: named})

    def fault(self, kind: str, **arguments: Any) -> Fault:
        """Break something for the length of a block; gives the names of what is touched."""
        return Fault(self, kind, arguments)

    def verdict(self) -> Verdict:
        """End the run and judge it."""
        __tracebackhide__ = True
        if self._open:
            raise self._error(
                "the verdict was asked for inside a fault's block",
                why="the fault is not undone yet, so its window is not over",
                hint="ask after the `with` block",
            )
        outcome = self.end()
        if outcome is None:
            raise self._error("nothing was broken, so nothing can be judged", hint="with chaos.fault(...)")
        self._state.asked[self._node] = outcome
        return outcome.verdict

    def _interrupted(self) -> None:
        # At once: pytest ends fixtures late, and something is broken.
        with contextlib.suppress(HarnessError):
            self.end(abort="interrupted")

    def end(self, *, abort: str = "") -> Outcome | None:
        """End the run, if it has begun; `abort` cuts it short for a reason."""
        if self._live and self._outcome is None:
            self._outcome = self._live.finish(abort=abort)
        return self._outcome

    def _inject(self, kind: str, arguments: dict[str, Any]) -> tuple[Live, tuple[PlannedFault, ...]]:
        if self._outcome:
            raise self._error("the run is over, so nothing can be broken", hint="ask for the verdict last")
        experiment = self._experiment(self._activity(kind, arguments))
        if self._live is None:
            self._state.remark(document.unpromised(experiment))
            begun = Live(replace(experiment, method=()), self._options)
            self._state.live[self._node] = begun
            try:
                begun.start()
            finally:
                # One that was ended before its method has a verdict all the same.
                self._outcome = begun.outcome if begun.ended else None
            self._live = begun
        return self._live, self._live.inject(experiment.method[-1])

    def _activity(self, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        target = {_dashed(name): value for name, value in arguments.items() if _aims(kind, name)}
        parameters = {_dashed(name): value for name, value in arguments.items() if not _aims(kind, name)}
        provider = {"type": "python", "module": ACTIONS, "func": kind, "arguments": {"target": target, **parameters}}
        return {"type": "action", "name": f"{kind} {len(self._method) + 1}", "provider": provider}

    def _stated(self, key: str, value: dict[str, Any]) -> None:
        __tracebackhide__ = True
        if self._live:
            raise self._error(f"{key} must be stated before the first fault")
        self._extension[key] = value

    def _experiment(self, activity: dict[str, Any]) -> Experiment:
        """Read what was stated so far as a document, so that the same things are refused with the same words."""
        extension, method = dict(self._extension), [*self._method, activity]
        if not extension["blast-radius"]:
            raise self._error("the test does not say what it may touch", hint=MARKED)
        if not extension["objectives"] and not ("load" in extension and self._slo):
            # The test's own assertions are the promise; what the harness can add is that the system comes back.
            within = extension.get("phases", {}).get("recovery", "60s")
            extension["objectives"] = {"recovery": {"within": within}}
        document_of = {
            "title": self._where.name,
            "description": "Written in Python.",
            "method": method,
            "extensions": [extension],
        }
        text = yaml.safe_dump(document_of, sort_keys=False)
        try:
            found = document.loads(text, self._where, self._slo, promised=True, folder=self._folder)
        except UsageError as error:
            raise in_python(error, self._where) from None
        self._method = method
        return found

    def _caps(self, item: pytest.Item) -> dict[str, Any]:
        marker = item.get_closest_marker("chaos")
        if marker and marker.args:
            raise self._error("the chaos marker takes its limits by name", hint=MARKED)
        return dict(marker.kwargs) if marker else {}

    def _error(self, what: str, *, why: str = "", hint: str = "") -> UsageError:
        return UsageError(what, where=str(self._where), why=why, hint=hint)


class Fault:
    """Something that is broken for the length of a block.

    A class, because a failure shows its reader the source of a generator's manager, but not methods that hide.
    """

    def __init__(self, chaos: Chaos, kind: str, arguments: dict[str, Any]) -> None:
        self._chaos, self._kind, self._arguments = chaos, kind, arguments

    def __enter__(self) -> list[str]:
        __tracebackhide__ = True
        try:
            self._live, self._faults = self._chaos._inject(self._kind, self._arguments)
        except HarnessError as error:
            raise error.with_traceback(None) from None
        except BaseException as error:
            # A person's Ctrl-C, or whatever else was thrown into the wait: pytest-timeout, somebody's signal handler.
            if not isinstance(error, Exception):
                self._chaos._interrupted()
            raise
        self._chaos._open += 1
        return [str(fault.victim) for fault in self._faults]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        self._chaos._open -= 1
        if isinstance(error, KeyboardInterrupt):
            self._chaos._interrupted()
            return
        try:
            self._live.heal(self._faults)
        except HarnessError as failed:
            raise failed.with_traceback(None) from error
        except BaseException as thrown:
            if not isinstance(thrown, Exception):
                self._chaos._interrupted()
            raise


def _place(item: pytest.Item) -> Path:
    """Name a test as pytest takes it from where it was started, which need not be where names of nodes begin."""
    inside = item.nodeid.partition("::")[2]
    return Path(f"{os.path.relpath(item.path, item.config.invocation_params.dir)}::{inside}")


def _aims(kind: str, name: str) -> bool:
    """Say whether an argument belongs to the target; a misspelt one to what it was meant for."""
    parameters = [one.name for one in FAULTS[kind].parameters] if kind in FAULTS else []
    meant = difflib.get_close_matches(name, (*TARGET, *COURSE, *parameters), n=1)
    return bool(meant) and meant[0] in TARGET


def _dashed(name: str) -> str:
    return name.replace("_", "-")
