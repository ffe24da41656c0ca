"""What a hand is: one value that says what it needs, how it acts and what is left of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from harness.model.check import Check
from harness.model.fault import FaultSpec, Hand, Undo

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.cluster.local import LocalCluster
    from harness.hands.healer import Healer


class Taken(Protocol):
    """A hand that a run has taken."""

    async def register(self, fault_id: str, undo_ops: Undo) -> None:
        """Have it remembered, outside of this process, how a fault is undone."""
        ...

    async def apply(self, fault_id: str, ops: Undo) -> dict[str, Any]:
        """Make an effect whose undo is remembered: {"results": [...]}, one for each operation.

        Raises InjectionFailed, or AbortTriggered when the run may no longer act.
        """
        ...

    async def inspect(self, thing: str) -> dict[str, Any]:
        """Return the state of what the hand acts on."""
        ...

    async def heal(self, fault_id: str) -> Any:
        """Undo a fault as it was registered, and see it undone; raises UndoFailed."""
        ...

    async def forget(self, fault_id: str) -> None:
        """Strike a fault off: there is nothing to undo any more."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hand is to act: one cluster, with what is known of it when it is the local one.

    `inside` is the one namespace that may be looked at, empty where all may be.
    """

    kube: Kube
    cluster: LocalCluster | None = None
    inside: str = ""


@dataclass(frozen=True, slots=True)
class HandKind:
    """One hand.

    `ready` raises PreconditionFailed where its own faults of a document cannot be made in a place, `take` gives the
    hand to a run, with the run's healer. What it did is undone `by_healer` alone, or by whoever reaches the API server;
    where the path of a fault's resource is enough for that, `undo` does it, also for a fault that nobody here knows.
    `residue` tells what it has not yet undone, as lines of the fingerprint, and `checks` how it is, as the doctor's.
    """

    hand: Hand
    by_healer: bool
    ready: Callable[[Place, Sequence[FaultSpec]], Awaitable[None]]
    take: Callable[[Place, Healer], Taken]
    residue: Callable[[Place], Awaitable[Mapping[str, str]]]
    checks: Callable[[Place], Awaitable[list[Check]]]
    undo: Callable[[Kube, str], Awaitable[Any]] | None = None
