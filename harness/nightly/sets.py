"""Run experiments one after another: each gets its own chance, whatever became of the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.cluster.host import machine
from harness.engine import run
from harness.engine.options import Options, Outcome
from harness.errors import Exit, HarnessError
from harness.model.experiment import Experiment
from harness.model.verdict import Verdict
from harness.nightly import repeats


@dataclass(frozen=True, slots=True)
class Result:
    """What one experiment came to: an outcome, or the error that kept it from beginning."""

    experiment: Experiment
    outcome: Outcome | None = None
    error: HarnessError | None = None

    @property
    def code(self) -> int:
        """Return the exit code."""
        if self.outcome:
            return self.outcome.exit
        return int(self.error.exit if self.error else Exit.NOTHING_RAN)

    @property
    def right(self) -> bool:
        """Say whether it ended as declared."""
        return bool(self.outcome and self.outcome.right)

    @property
    def verdict(self) -> str:
        """Return the verdict, or the words for none."""
        return str(self.outcome.verdict) if self.outcome else repeats.NONE

    @property
    def last(self) -> bool:
        """Say whether nothing may follow: something is still broken, or a person wants an end."""
        return bool(self.outcome) and (self.verdict == Verdict.DIRTY or self.code == Exit.INTERRUPTED)


def walk(
    experiments: Iterable[Experiment], options: Options, before: Callable[[Sequence[str]], None] = lambda _: None
) -> Iterator[Result]:
    """Run experiments and give each one's result; ends after one that left something broken or was interrupted.

    `before` is told which parts of the stack the next one needs.
    """
    for experiment in experiments:
        before(experiment.parts)
        try:
            result = Result(experiment, outcome=run.run(experiment, options))
        except HarnessError as error:
            result = Result(experiment, error=error)
        yield result
        if result.last:
            return


def foreword(runs: int) -> list[str]:
    """Say what a person should know before so many runs take their time: nothing before a single one."""
    busy = machine.warning() if runs > 1 else ""
    return [busy] if busy else []
