"""What a fault may use to do its work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.model.plan import PlannedFault
from harness.workloads import Owners

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.cluster.local import LocalCluster
    from harness.hands.healer import Healer
    from harness.hands.kind import Taken
    from harness.model.history import Operation

Facts = dict[str, Any]


async def _no_guard() -> None:
    """Let every effect through."""


def _no_emit(event: str, data: dict[str, Any]) -> None:
    """Drop the observation."""


def _no_load(seconds: float) -> None:
    """Say that no load asks anything."""


def _nobody() -> Healer:
    # A fault's file is read by whoever lists experiments, and must not bring a keeper's client with it.
    from harness.hands.healer import Nobody

    return Nobody()


@dataclass(frozen=True, slots=True)
class Reach:
    """What a fault may touch: the API server, whoever heals after the run, the local cluster.

    `guard` is awaited before each effect and raises when the run has lost its right to one; `emit` journals an
    observation; `notes` holds, by fault id, what a fault saw before its effect and needs for its evidence; `owners`
    knows which workload a pod belongs to. `seed` is the run's, for what a fault leaves to chance. `answers` gives what
    the run's load was answered in the last so many seconds, None where there is no load or it is dead.
    """

    kube: Kube
    healer: Healer = field(default_factory=_nobody)
    cluster: LocalCluster | None = None
    guard: Callable[[], Awaitable[None]] = _no_guard
    emit: Callable[[str, dict[str, Any]], None] = _no_emit
    notes: dict[str, Facts] = field(default_factory=dict)
    seed: int = 0
    answers: Callable[[float], Sequence[Operation] | None] = _no_load
    owners: Owners = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "owners", Owners(self.kube))

    def note(self, fault: PlannedFault) -> Facts:
        """Return what was noted for this fault, to be read and added to."""
        return self.notes.setdefault(fault.id, {})

    def by(self, fault: PlannedFault) -> Taken:
        """Return the hand that does a fault; raises PreconditionFailed where there is none."""
        from harness.hands.kind import Place
        from harness.hands.known import HANDS

        return HANDS[fault.hand].take(Place(self.kube, self.cluster), self.healer)

    def container(self, node: str) -> str:
        """Return the name of a node's container."""
        return self.cluster.nodes.get(node, node) if self.cluster else node
