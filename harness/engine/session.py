"""What one run holds while it lives: its plan, its connections, its journal, and the faults it still owes an undo."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine.abort import Abort
from harness.engine.course import Course
from harness.engine.lease import Leases
from harness.engine.preflight.scope import Scope
from harness.engine.watching.readiness import Readiness
from harness.hands.healer import Healer
from harness.journal import operations
from harness.journal.writer import Journal
from harness.load.process import LoadProcess
from harness.model.experiment import Experiment
from harness.model.history import Operation
from harness.model.plan import Plan, PlannedFault
from harness.model.rate import Profile
from harness.steps.worker import Worker
from harness.targets.reach import Reach


@dataclass(slots=True)
class Session:
    """One run in progress.

    `courses` are its faults by id, `unrolled` says why a rollback failed. `rolled_back` are the rollbacks that ended,
    by number; before it is `planned` nothing may be touched, before the `method_begun` there is nothing to roll back.
    `unwritten` says why the journal lacks something. `load_from` is when the load began to send, `steady_load_from`
    when it may be judged, `load_profile` how its rate changes from then on; `amiss_at` is when something other than a
    breaker was last seen not to be steady; `begun` says that the first fault was let through. `cause` is why the
    verdict is no PASS, as far as that was seen. `kubeconfig` is of the run's context alone, for whatever else asks the
    cluster; `picking` is held by whoever picks targets; `scope` says how far its rights reach; `beside` starts what
    goes on beside the walk until the run ends.
    """

    experiment: Experiment
    plan: Plan
    kube: Kube
    cluster: LocalCluster | None
    healer: Healer
    lease: Leases
    journal: Journal
    worker: Worker
    readiness: Readiness
    directory: Path
    say: Callable[[str], None]
    kubeconfig: Path | None = None
    scope: Scope = field(default_factory=Scope)
    abort: Abort = field(default_factory=Abort)
    beside: Callable[..., object] | None = None
    load: LoadProcess | None = None
    load_from: float = math.inf
    steady_load_from: float = math.inf
    load_profile: Profile | None = None
    amiss_at: float = -math.inf
    begun: bool = False
    phase: str = "preflight"
    spans: dict[str, float] = field(default_factory=dict)
    courses: dict[str, Course] = field(default_factory=dict)
    picking: anyio.Lock = field(default_factory=anyio.Lock)
    unrolled: dict[str, str] = field(default_factory=dict)
    planned: bool = False
    method_begun: bool = False
    deviated: bool = False
    unanswered_probe: bool = False
    told_of_rollbacks: bool = False
    rolled_back: set[int] = field(default_factory=set)
    told_of_abort: bool = False
    unwritten: str = ""
    cause: str = ""
    reach: Reach = field(init=False)
    _entered: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.reach = Reach(
            kube=self.kube,
            healer=self.healer,
            cluster=self.cluster,
            guard=self.guard,
            emit=self._observed,
            seed=self.plan.seed,
            answers=self.recent,
        )

    def _observed(self, kind: str, data: dict[str, Any]) -> None:
        self.write(kind, **data)

    def recent(self, seconds: float) -> list[Operation] | None:
        """Return the operations that ended in the last `seconds`; None of no load or a dead one: it proves nothing."""
        if self.load is None or self.load.died:
            return None
        return operations.tail(self.directory, self.journal.origin_ns, since=self.journal.now() - seconds)

    def write(self, kind: str, /, **data: Any) -> None:
        """Append one event to the journal, in the phase the run is in.

        A full disk must not keep an undo from being done: what could not be written is remembered for the verdict.
        """
        try:
            self.journal.write(kind, self.phase, **data)
        except OSError as error:
            self.unwritten = self.unwritten or f"{kind} could not be written: {error.strerror or error}"

    def enter(self, phase: str) -> None:
        """Leave the current phase for the next one and account for its time."""
        now = time.monotonic()
        self.spans[self.phase] = self.spans.get(self.phase, 0.0) + now - self._entered
        self.phase, self._entered = phase, now
        self.write("phase.start", name=phase)

    @property
    def unclean(self) -> list[str]:
        """Say what is not undone, as far as anyone knows."""
        courses = self.courses.values()
        owed = (
            f"{one.fault.kind} on {one.fault.victim} is still owed its undo"
            for one in courses
            if one.owed and not one.dirty
        )
        return [*(one.dirty for one in courses if one.dirty), *self.unrolled.values(), *owed]

    def course(self, fault: PlannedFault) -> Course:
        """Return what is known of a fault so far, to be read and written."""
        return self.courses.setdefault(fault.id, Course(fault))

    @property
    def owed(self) -> dict[str, PlannedFault]:
        """Return the faults that are on the ledger and not yet undone, by id."""
        return {identity: one.fault for identity, one in self.courses.items() if one.owed}

    async def guard(self) -> None:
        """Refuse an effect once the run may no longer act; raises AbortTriggered."""
        self.lease.check()
