"""What a run saw: operations, fault windows and observations, all on one time axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of the load; times are seconds since the run began.

    `status` is the HTTP status, 0 when no answer came (refused, reset, timed out). Latency counts from `intended`.
    """

    intended: float
    sent: float
    finished: float
    status: int
    attempts: int = 1
    served_by: str = ""

    @property
    def ok(self) -> bool:
        """Say whether the caller got what it asked for: a workload sends valid requests only, so 4xx is a failure."""
        return 200 <= self.status < 400

    @property
    def latency(self) -> float:
        """Give seconds from the intended send to the end."""
        return self.finished - self.intended


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One fault as observed: when it was injected, felt and healed (None: never seen), its evidence.

    `undone` is when its undo was done, `healed` when the system had what the fault took.
    """

    id: str
    kind: str
    victim: str
    injected: float | None
    felt: float | None
    healed: float | None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    undone: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One observation by a probe or a metric; `value` None says that no data came."""

    time: float
    series: str
    value: float | None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """The whole run, for checkers.

    `start`..`end` is the run, `window` the fault window (first injection to last healing, as observed; None when
    nothing was injected), `samples` by probes, the breaker and Prometheus, `evictions` the eviction API's answers
    (dicts: time, pod, status 201|429|500, and the budget, allowed, healthy, desired read before the
    call), `load_rate` the intended rate.
    """

    start: float
    end: float
    window: tuple[float, float] | None
    operations: Sequence[Operation] = ()
    faults: Sequence[FaultRecord] = ()
    samples: Sequence[Sample] = ()
    evictions: Sequence[Mapping[str, Any]] = ()
    load_rate: float | None = None
    probe_failures: Sequence[Mapping[str, Any]] = ()
