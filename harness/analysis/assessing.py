"""Make a metric's phase of its measurements, and the run's of its metrics, as Argo Rollouts' `analysis.go` does.

Every measurement of Prometheus is complete at once, so that none is ever in flight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.analysis.measuring import Measurement, Phase
from harness.analysis.template import Metric

# Worst last; of the limits of one metric it is the other way round: an Error goes before a Failed.
WORSE = (Phase.SUCCESSFUL, Phase.RUNNING, Phase.INCONCLUSIVE, Phase.ERROR, Phase.FAILED)
TERMINATED = "Run Terminated"


@dataclass(frozen=True, slots=True)
class Tally:
    """One metric so far: its counters, its phase, when its last measurement ended, and what that was.

    `finished` is in seconds since the run began. `message` is that of the measurement that decided; of a dry run that
    exceeded a limit it says which. `count` is of all but the errors.
    """

    metric: Metric
    last: Measurement
    finished: float
    phase: Phase = Phase.RUNNING
    message: str = ""
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    count: int = 0
    consecutive_error: int = 0
    consecutive_success: int = 0

    @property
    def successful(self) -> int:
        """Return how many measurements were Successful."""
        return self.count - self.failed - self.inconclusive


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run has come to, with the controller's message, and what each metric has, in the template's order."""

    phase: Phase
    message: str = ""
    tallies: tuple[Tally | None, ...] = ()


def counted(before: Tally | None, metric: Metric, measured: Measurement, finished: float) -> Tally:
    """Count one measurement; an Error counts as none of the `count` that a metric needs."""
    tally = before or Tally(metric, measured, finished)
    phase = measured.phase
    return replace(
        tally,
        last=measured,
        finished=finished,
        failed=tally.failed + (phase is Phase.FAILED),
        inconclusive=tally.inconclusive + (phase is Phase.INCONCLUSIVE),
        error=tally.error + (phase is Phase.ERROR),
        count=tally.count + (phase is not Phase.ERROR),
        consecutive_error=tally.consecutive_error + 1 if phase is Phase.ERROR else 0,
        consecutive_success=tally.consecutive_success + 1 if phase is Phase.SUCCESSFUL else 0,
    )


def exceeded(tally: Tally) -> Verdict | None:
    """Say which limit is exceeded, if any; limits are exceeded by more than they say, and the last one counts."""
    metric, found = tally.metric, None
    if 0 <= metric.failure_limit < tally.failed:
        found = Verdict(Phase.FAILED, f"failed ({tally.failed}) > failureLimit ({metric.failure_limit})")
    if tally.inconclusive > metric.inconclusive_limit:
        text = f"inconclusive ({tally.inconclusive}) > inconclusiveLimit ({metric.inconclusive_limit})"
        found = Verdict(Phase.INCONCLUSIVE, text)
    if tally.consecutive_error > metric.consecutive_error_limit:
        limit = metric.consecutive_error_limit
        text = f"consecutiveErrors ({tally.consecutive_error}) > consecutiveErrorLimit ({limit})"
        found = Verdict(Phase.ERROR, text)
    return found


def assessed(tally: Tally, *, terminating: bool) -> Tally:
    """Give a metric its phase; one that is complete keeps it."""
    if tally.phase.completed:
        return tally
    phase = _phase(tally, terminating=terminating)
    if phase is tally.phase:
        return tally
    over = exceeded(tally) if tally.metric.dry_run else None
    said = f"Metric assessed {phase} due to {over.message}" if over else tally.last.message
    return replace(tally, phase=phase, message=said)


def _phase(tally: Tally, *, terminating: bool) -> Phase:
    metric = tally.metric
    if over := exceeded(tally):
        return over.phase
    if 0 < metric.consecutive_success_limit <= tally.consecutive_success:
        return Phase.SUCCESSFUL
    if metric.measurements is not None and tally.count >= metric.measurements:
        if not metric.consecutive_success_limit:
            return Phase.SUCCESSFUL
        return Phase.INCONCLUSIVE if metric.failure_limit >= 0 else Phase.FAILED
    return Phase.SUCCESSFUL if terminating else Phase.RUNNING


def ending(tallies: Sequence[Tally | None]) -> bool:
    """Say whether a metric that is no dry run has ended the run for the others, too."""
    bad = (Phase.FAILED, Phase.ERROR, Phase.INCONCLUSIVE)
    return any(one.phase in bad and not one.metric.dry_run for one in tallies if one)


def overall(tallies: Sequence[Tally | None], *, terminating: bool, terminated: bool) -> Verdict:
    """Fold the metrics into the run; None is one that was never measured, which holds the run open.

    `terminating` says that nothing more is measured, `terminated` that somebody has asked for that. The worst phase
    counts, and of two metrics with it the first has the message.
    """
    worst: Phase | None = None
    message = TERMINATED if terminated else ""
    for one in tallies:
        if one is None or not one.phase.completed:
            continue
        if one.metric.dry_run:
            worst = worst or Phase.SUCCESSFUL
        elif worst is None or WORSE.index(one.phase) > WORSE.index(worst):
            worst = one.phase
            message = _message(one) or message
    if terminating:
        return Verdict(worst or Phase.SUCCESSFUL, message)
    if worst is None or any(one is None or not one.phase.completed for one in tallies):
        return Verdict(Phase.RUNNING)
    return Verdict(worst, message)


def _message(tally: Tally) -> str:
    over = exceeded(tally)
    if over is None:
        return ""
    said = f': "Error Message: {tally.message}"' if tally.message else ""
    return f'Metric "{tally.metric.name}" assessed {tally.phase} due to {over.message}{said}'
