"""What a run saw: operations, fault windows and observations, all on one time axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.model.calls import Recorded
from harness.model.rate import Profile


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of the load; times are seconds since the run began.

    `status` is the HTTP status, 0 when no answer came; `unanswered` then says how it ended (refused, cut off, timed
    out, no HTTP, ...). `good` is whether the answer was what the load expects, None where only the status can tell;
    `amiss` says what of a good status was not. `attempts` is what the gateway counted, 1 where it found nobody to try
    and 0 when it did not tell. `served_by` is the pod that answered; where the gateway answered itself, `tried` is the
    address of the pod it tried last. `response_flags` are the gateway's own word on what went wrong, `because` the
    service's. `call` counts the load's kinds of operation from 0; a `direct` one asked no gateway. Latency counts from
    `intended`. `late` and `unsent` are the load's own fault: it began the operation late, or never because too many
    were under way.
    """

    intended: float
    sent: float
    finished: float
    status: int
    attempts: int = 1
    served_by: str = ""
    late: bool = False
    unsent: bool = False
    tried: str = ""
    response_flags: str = ""
    because: str = ""
    unanswered: str = ""
    good: bool | None = None
    amiss: str = ""
    call: int = 0
    direct: bool = False

    @property
    def punctual(self) -> bool:
        """Say whether it was sent when it was due; what the load itself held up tells nothing of the system."""
        return not (self.late or self.unsent)

    @property
    def tried_host(self) -> str:
        """Return the address that was tried last, without its port and the brackets of IPv6; empty for none."""
        return self.tried.rpartition(":")[0].strip("[]")

    @property
    def ok(self) -> bool:
        """Say whether the caller got what it asked for: a workload sends valid requests only, so 4xx is a failure."""
        return 200 <= self.status < 400 if self.good is None else self.good

    @property
    def latency(self) -> float:
        """Return seconds from the intended send to the end."""
        return self.finished - self.intended


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One fault as observed: when it was injected, felt and healed (None: never seen), its evidence.

    `injected` is when its injection began, `applied` when it had returned: what was cut in between may have had its
    effect all the same. `undone` is when its undo was done, `healed` when the system had what the fault took.
    `instant` and `disturbs` are as its kind says; `workload` is the one that it was aimed at itself, by its key.
    """

    id: str
    kind: str
    victim: str
    injected: float | None
    felt: float | None
    healed: float | None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    undone: float | None = None
    applied: float | None = None
    instant: bool = False
    disturbs: frozenset[str] = frozenset()
    workload: str = ""


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
    nothing was injected), `steady_from` when the system had settled (what was before it says nothing), `samples` by
    probes, the breaker and Prometheus, `evictions` the eviction API's answers (dicts: time, pod, status 201|429|500,
    the cause of a refusal, and the budget, allowed, healthy, desired read before the call), `load_rate` the
    intended rate (the lowest one, where `load_profile` says how it changed), `probes` the hypothesis' answers (dicts:
    time, phase, name, ok, value), `restarts` the containers that ended (dicts: time, namespace, pod, container, reason,
    exit_code), `addresses` whose address is whose, `recorded` what callers wrote down of their calls, `unread` which of
    them could not be read and why.
    """

    start: float
    end: float
    window: tuple[float, float] | None
    operations: Sequence[Operation] = ()
    faults: Sequence[FaultRecord] = ()
    samples: Sequence[Sample] = ()
    evictions: Sequence[Mapping[str, Any]] = ()
    load_rate: float | None = None
    probes: Sequence[Mapping[str, Any]] = ()
    steady_from: float = 0.0
    restarts: Sequence[Mapping[str, Any]] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    load_profile: Profile | None = None
    recorded: Sequence[Recorded] = ()
    unread: Mapping[str, str] = field(default_factory=dict)

    def due(self, start: float, end: float) -> float:
        """Return how many operations the load should have begun between two times; 0 when no rate is known."""
        if self.load_profile:
            return self.load_profile.due(start, end)
        return (self.load_rate or 0.0) * (end - start)


class Times(Protocol):
    """The times of one fault."""

    @property
    def injected(self) -> float | None: ...
    @property
    def applied(self) -> float | None: ...
    @property
    def undone(self) -> float | None: ...
    @property
    def healed(self) -> float | None: ...


def fault_window(faults: Iterable[Times], end: float) -> tuple[float, float] | None:
    """Return the window from the first injection to the last healing; None when nothing was injected."""
    spans = [(fault.injected, over(fault, end)) for fault in faults if fault.injected is not None]
    return (min(start for start, _ in spans), max(over for _, over in spans)) if spans else None


def over(fault: Times, end: float) -> float:
    """Return when a fault was seen over, `end` when it never was.

    One that was cut while being injected is over with its undo: nobody waits for its healing.
    """
    seen = (fault.healed, fault.undone if fault.applied is None else None, end)
    return next(time for time in seen if time is not None)
