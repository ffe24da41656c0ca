"""The `chaos` fixture: an experiment written in Python, with the same plan, undo, evidence and verdict as a document.

The run begins with the first fault and ends with `verdict()`, or with the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.chaostoolkit.live import Live
from harness.engine.options import Options, Outcome
from harness.errors import Exit, HarnessError, UsageError
from harness.model import document
from harness.model.catalogue import ACTIONS
from harness.model.experiment import Experiment
from harness.model.plan import PlannedFault
from harness.model.verdict import Verdict
from harness.pytest_plugin import session, spread

TARGET = ("namespace", "selector", "pods", "nodes", "at_once", "container", "hosting")


def serve(request: pytest.FixtureRequest) -> Iterator[Chaos]:
    """Give one test its `chaos`, and end its run whatever the test does."""
    spread.refuse_worker(request.config)
    state = session.of(request.config)
    item = request.node
    marker = item.get_closest_marker("chaos")
    with state.following(item) as options:
        chaos = Chaos(item.nodeid, dict(marker.kwargs) if marker else {}, options, request.config.rootpath)
    yield chaos
    with state.following(item):
        outcome = chaos.end()
    if outcome is None:
        return
    if chaos.judged and outcome.verdict not in (Verdict.ABORTED, Verdict.DIRTY):
        # The test asked for the verdict: whether it was the right one is for its assertions to say.
        state.finished(item, item.name, outcome.verdict, replace(outcome, right=True, exit=int(Exit.PASS)))
        return
    state.finished(item, item.name, Verdict.PASS, outcome)
    if not outcome.right:
        pytest.fail(outcome.text, pytrace=False)


class Chaos:
    """Break something on purpose, under load, and judge what it did."""

    def __init__(self, name: str, caps: dict[str, Any], options: Options, root: Path) -> None:
        self.judged = False
        self._where, self._options = Path(name), options
        slo = root / document.SLO_FILE
        self._slo = document.defaults(slo) if slo.exists() else None
        self._extension: dict[str, Any] = {"name": "harness", "objectives": {}, "blast-radius": caps}
        self._method: list[dict[str, Any]] = []
        self._live: Live | None = None
        self._outcome: Outcome | None = None

    def load(self, workload: str, rate: str, **more: Any) -> None:
        """Send operations of one workload at a rate such as 40/s, from before the first fault to the end."""
        self._state("load", {"workload": workload, "rate": rate, **more})

    def phases(self, **durations: str) -> None:
        """Say how long `baseline`, `hold` and `recovery` may take: `chaos.phases(baseline="3s")`."""
        self._state("phases", durations)

    def promise(self, objective: str, **parameters: Any) -> None:
        """State an objective as a document does: `chaos.promise("recovery", within="30s")`."""
        named = {_dashed(name): value for name, value in parameters.items()}
        self._state("objectives", {**self._extension["objectives"], objective: named})

    @contextmanager
    def fault(self, kind: str, **arguments: Any) -> Iterator[list[str]]:
        """Break something for the length of a block; gives the names of what is touched."""
        __tracebackhide__ = True
        target = {_dashed(name): value for name, value in arguments.items() if name in TARGET}
        parameters = {_dashed(name): value for name, value in arguments.items() if name not in TARGET}
        provider = {"type": "python", "module": ACTIONS, "func": kind, "arguments": {"target": target, **parameters}}
        self._method.append({"type": "action", "name": f"{kind} {len(self._method) + 1}", "provider": provider})
        try:
            live, faults = self._inject()
        except HarnessError as error:
            raise error.with_traceback(None) from None
        try:
            yield [str(fault.victim) for fault in faults]
        finally:
            live.heal(faults)

    def verdict(self) -> Verdict:
        """End the run and judge it."""
        outcome = self.end()
        if outcome is None:
            raise UsageError("nothing was broken, so nothing can be judged", where=str(self._where))
        self.judged = True
        return outcome.verdict

    def end(self) -> Outcome | None:
        """End the run, if it has begun."""
        if self._live and self._outcome is None:
            self._outcome = self._live.finish()
        return self._outcome

    def _inject(self) -> tuple[Live, tuple[PlannedFault, ...]]:
        experiment = self._experiment()
        if self._live is None:
            begun = Live(replace(experiment, method=()), self._options)
            begun.start()
            self._live = begun
        return self._live, self._live.inject(experiment.method[-1])

    def _state(self, key: str, value: dict[str, Any]) -> None:
        if self._live:
            raise UsageError(f"{key} must be stated before the first fault", where=str(self._where))
        self._extension[key] = value

    def _experiment(self) -> Experiment:
        """Read what was stated so far as a document, so that the same things are refused with the same words."""
        extension = dict(self._extension)
        if not extension["objectives"] and "load" not in extension:
            # The test's own assertions are the promise; what the harness can add is that the system comes back.
            extension["objectives"] = {"recovery": {"within": "60s"}}
        stated = {
            "title": self._where.name,
            "description": "Written in Python.",
            "method": self._method,
            "extensions": [extension],
        }
        return document.loads(yaml.safe_dump(stated, sort_keys=False), self._where, self._slo)


def _dashed(name: str) -> str:
    return name.replace("_", "-")
