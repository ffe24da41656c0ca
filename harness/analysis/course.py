"""Walk through an analysis under a clock that is given, and ask whoever is given: the controller's loop without it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from harness.analysis import assessing
from harness.analysis.assessing import Tally, Verdict
from harness.analysis.measuring import Answer, Measurement, Phase, measure
from harness.analysis.syntax import Dialect
from harness.analysis.template import ERROR_RETRY_SECONDS, Metric, Question, Template

Ask = Callable[[Question, float], Answer]
# The controller measures when more than an interval is over, not when exactly one is; a delay that ends with one is
# over in the same look.
LEAST_SECONDS = 0.001


class Clock(Protocol):
    """Seconds since the analysis began."""

    def now(self) -> float: ...

    def wait(self, until: float) -> None:
        """Return when that time has come."""


@dataclass(slots=True)
class Virtual:
    """A clock that is put forward, for what is recorded already."""

    time: float = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, until: float) -> None:
        self.time = max(self.time, until)


@dataclass(frozen=True, slots=True)
class Taken:
    """One measurement of one metric, when it was begun."""

    at: float
    metric: Metric
    measurement: Measurement


def walk(
    template: Template, ask: Ask, clock: Clock, dialect: Dialect, *, until: float = math.inf, end: float = math.inf
) -> Iterator[Taken | Verdict]:
    """Yield every measurement as it is taken, and the verdict at the end.

    At `until` the run is terminated, as the controller does when the rollout is over; at `end` there is nothing more to
    be asked, and a run that is not complete by then stays Running.
    """
    tallies: list[Tally | None] = [None] * len(template.metrics)
    first = True
    while True:
        now = clock.now()
        terminated = now >= until
        # Before anything is assessed anew: what fails now ends the run at the next look.
        terminating = terminated or assessing.ending(tallies)
        for place, metric in enumerate(template.metrics):
            tally = tallies[place]
            # At its first look a controller has yet to write down when the run began: whatever has a delay waits.
            waits = first and metric.initial_delay is not None
            if not terminating and not waits and now >= _due(metric, tally):
                measured = measure(metric, ask(metric.question, now), dialect)
                yield Taken(now, metric, measured)
                tallies[place] = assessing.counted(tally, metric, measured, clock.now())
        first = False
        tallies = [one and assessing.assessed(one, terminating=terminating) for one in tallies]
        verdict = replace(
            assessing.overall(tallies, terminating=terminating, terminated=terminated), tallies=tuple(tallies)
        )
        if verdict.phase is not Phase.RUNNING:
            yield verdict
            return
        if assessing.ending(tallies):
            continue
        upcoming = min(until, _next(template, tallies))
        if upcoming > end:
            yield verdict
            return
        clock.wait(upcoming)


def _next(template: Template, tallies: Sequence[Tally | None]) -> float:
    return min(_due(metric, tally) for metric, tally in zip(template.metrics, tallies, strict=True))


def _due(metric: Metric, tally: Tally | None) -> float:
    """Return when a metric is measured next; never, once it is complete."""
    if tally is None:
        return -math.inf if metric.initial_delay is None else metric.initial_delay + LEAST_SECONDS
    if tally.phase.completed:
        return math.inf
    retried = tally.last.phase is Phase.ERROR or metric.interval is None
    # What the API server keeps of a time is its second.
    return math.floor(tally.finished) + (ERROR_RETRY_SECONDS if retried else metric.interval or 0.0) + LEAST_SECONDS
