"""Experiments as pytest items.

The run is the item's set-up and the judgement its call: a run that was cut short or left something behind is an error,
a run whose verdict is not the declared one is a failure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine.options import Outcome, Stop
from harness.errors import UsageError
from harness.model import document
from harness.model.experiment import Experiment
from harness.model.verdict import Verdict
from harness.pytest_plugin import session, spread


class ExperimentFile(pytest.File):
    """One document: one experiment, as often as it is asked for."""

    def collect(self) -> Iterable[ExperimentItem]:
        """Read the document; what is wrong in it is a collection error without a traceback."""
        spread.refuse_worker(self.config)
        state = session.of(self.config)
        try:
            experiment = document.load(self.path, document.defaults_for(self.path), state.given)
        except UsageError as error:
            state.note(error)
            raise self.CollectError(str(error)) from None
        state.remark(document.unpromised(experiment))
        times = self.config.getoption("chaos_repeat")
        for turn in range(1, times + 1):
            name = f"{self.path.stem}[{turn}]" if times > 1 else self.path.stem
            item: ExperimentItem = ExperimentItem.from_parent(self, name=name, experiment=experiment, turn=turn)
            state.sets[item.nodeid] = experiment.sets
            yield item


class ExperimentItem(pytest.Item):
    """One experiment, run on the cluster that the options name."""

    def __init__(self, *, experiment: Experiment, turn: int = 1, **rest: Any) -> None:
        super().__init__(**rest)
        self.experiment, self.turn = experiment, turn
        self.outcome: Outcome | None = None
        self.stop: Stop | None = None
        self.add_marker("chaos")
        self.extra_keyword_matches.update(experiment.tags)

    def setup(self) -> None:
        """Run the experiment."""
        from harness.engine import run

        state = session.of(self.config)
        state.refuse_after_end(self)
        self.outcome = None
        with state.following(self) as options:
            if options.dry_run:
                state.plans.append(run.dry_run(self.experiment, options))
            else:
                state.begun.append(self.experiment.name)
                self.outcome = run.run(self.experiment, replace(options, stop=self.stop))
        if self.outcome is None:
            pytest.skip("dry run: nothing was touched")
        state.finished(self, self.experiment.name, self.experiment.expect.verdict, self.outcome)
        if self.outcome.verdict in (Verdict.ABORTED, Verdict.DIRTY) and not self.outcome.right:
            pytest.fail(self.outcome.text, pytrace=False)

    def runtest(self) -> None:
        """Compare the verdict with the declared one."""
        outcome = self.outcome
        if outcome is None or outcome.right:
            return
        if session.of(self.config).excuses(outcome):
            pytest.xfail(f"INCONCLUSIVE: {outcome.reason}")
        pytest.fail(outcome.text, pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Name the experiment in headings."""
        return self.path, 0, f"{self.experiment.name}: {self.experiment.title}"
