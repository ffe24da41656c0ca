"""What an AnalysisTemplate says, as values; the defaults are Argo Rollouts'."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.syntax import Node

# `analysis.go` of Argo Rollouts: how many errors in a row are too many, and after how long an error is tried again.
CONSECUTIVE_ERROR_LIMIT = 4
ERROR_RETRY_SECONDS = 10.0
# Its Prometheus provider's time limit.
TIMEOUT_SECONDS = 30.0
# Longer than any rollout.
LONGEST_SECONDS = 366 * 86400.0


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as it is written, and as it is read; `key` is the template's key for it."""

    key: str
    text: str
    node: Node


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for a metric: a query with its time limit, or what was recorded over a time; both in seconds."""

    name: str
    query: str
    timeout: float = TIMEOUT_SECONDS
    over: float | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what is asked, when, and what its answers come to.

    `interval`, `initial_delay` and `timeout` are in seconds, an interval or a delay of None is none. A `failure_limit`
    of -1 switches that limit off. `dry_run` says that its phase is not the run's.
    """

    name: str
    query: str
    success: Condition | None = None
    failure: Condition | None = None
    interval: float | None = None
    initial_delay: float | None = None
    count: int = 0
    failure_limit: int = 0
    inconclusive_limit: int = 0
    consecutive_error_limit: int = CONSECUTIVE_ERROR_LIMIT
    consecutive_success_limit: int = 0
    timeout: float = TIMEOUT_SECONDS
    dry_run: bool = False

    @property
    def question(self) -> Question:
        """Return what is asked for it."""
        return Question(self.name, self.query, self.timeout, self.interval)

    @property
    def measurements(self) -> int | None:
        """Return after how many measurements it is complete; None where it goes on until somebody ends it."""
        return self.count or (1 if self.interval is None else None)


@dataclass(frozen=True, slots=True)
class Template:
    """An analysis: its metrics, every argument in its place."""

    metrics: tuple[Metric, ...]

    @property
    def endless(self) -> bool:
        """Say whether some metric may go on until somebody ends the run."""
        return any(one.measurements is None for one in self.metrics)
