"""The values every view draws from; all text in them is inert: no control character survives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.checkers.machine import Reading
from harness.model.verdict import Finding, State

UNFINISHED = "unfinished"
Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A named stretch of the run, in seconds since it began."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """What the load saw in one second (or a few, in a long run); None where it saw nothing."""

    start: float
    operations: int = 0
    failed: int = 0
    availability: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned fault and what became of it; a time is None when that was never seen."""

    id: str
    kind: str = ""
    activity: str = ""
    hand: str = ""
    victim: str = ""
    uid: str = ""
    place: str = ""
    parameters: Data = field(default_factory=dict)
    injected: float | None = None
    applied: float | None = None
    felt: float | None = None
    heal_requested: float | None = None
    undone: float | None = None
    healed: float | None = None
    facts: Data = field(default_factory=dict)
    evidence: Data = field(default_factory=dict)
    trouble: str = ""

    @property
    def touched(self) -> str:
        """Return the UID that the effect named, or the node or container when it has none."""
        return next((str(self.facts[key]) for key in ("uid", "node", "container") if self.facts.get(key)), "")

    @property
    def astray(self) -> bool:
        """Say whether the effect reached another UID than the planned one."""
        return bool(self.uid and self.facts.get("uid") and self.uid != self.facts["uid"])


@dataclass(frozen=True, slots=True)
class Undo:
    """One entry of the undo ledger."""

    fault: str
    what: str
    operations: tuple[str, ...]
    ok: bool
    how: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at one moment; `grave` is what a glance should find."""

    time: float
    title: str
    text: str = ""
    grave: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """One observed series as steps: a Deployment's ready pods, a breaker's worst state, whether a host is ejected."""

    name: str
    points: tuple[tuple[float, float | None], ...]
    wanted: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log."""

    time: float
    phase: str
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class View:
    """One run, ready to be drawn."""

    run: str = ""
    experiment: str = ""
    title: str = ""
    hypothesis: str = ""
    path: str = ""
    seed: str = ""
    context: str = ""
    way: Data = field(default_factory=dict)
    version: str = ""
    started: float = 0.0
    verdict: str = UNFINISHED
    expected: str = ""
    right: bool = False
    reason: str = ""
    begun: bool = True
    cause: str = ""
    exit: int | None = None
    duration: float = 0.0
    end: float = 0.0
    intent: str = ""
    resolved: str = ""
    caps: Data = field(default_factory=dict)
    shares: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    load: Data = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    phases: tuple[Span, ...] = ()
    window: tuple[float, float] | None = None
    faults: tuple[Fault, ...] = ()
    findings: tuple[Finding, ...] = ()
    undo: tuple[Undo, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    bucket_seconds: float = 1.0
    gaps: tuple[tuple[float, float], ...] = ()
    ready: tuple[Track, ...] = ()
    breakers: tuple[Track, ...] = ()
    machine: tuple[Reading, ...] = ()
    ejections: tuple[Track, ...] = ()
    evictions: tuple[Data, ...] = ()
    kubernetes: tuple[Mark, ...] = ()
    aborts: tuple[Mark, ...] = ()
    errors: tuple[Data, ...] = ()
    log: tuple[Line, ...] = ()

    @property
    def finished(self) -> bool:
        """Say whether the run came to a verdict."""
        return self.verdict != UNFINISHED

    @property
    def objectives(self) -> tuple[Finding, ...]:
        """Return the findings on promises; evidence, the run's own errors and what is only noted stand apart."""
        promises = (finding for finding in self.findings if finding.checker not in ("evidence", "run"))
        return tuple(finding for finding in promises if finding.state is not State.NOTED)

    @property
    def broken(self) -> int:
        """Count the promises that were broken."""
        return sum(finding.state is State.BROKEN for finding in self.objectives)

    @property
    def unknown(self) -> int:
        """Count the promises nothing can be said about."""
        return sum(finding.state is State.UNKNOWN for finding in self.objectives)

    @property
    def owed(self) -> tuple[Fault, ...]:
        """List the faults that were injected and never seen undone."""
        return tuple(fault for fault in self.faults if fault.injected is not None and fault.undone is None)
