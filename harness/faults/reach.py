"""What every fault is: five steps against one target, and what it may use to do them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.errors import PreconditionFailed
from harness.keeper.client import Keeper
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.workloads import Owners
from harness.workloads.pod import Pod

Undo = list[dict[str, Any]]
Facts = dict[str, Any]


async def _no_guard() -> None:
    """Let every effect through."""


def _no_emit(event: str, data: dict[str, Any]) -> None:
    """Drop the observation."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a fault may touch: the API server, the keeper, the local cluster.

    `guard` is awaited before each effect and raises when the run has lost its right to one; `emit` journals an
    observation; `notes` holds, by fault id, what a fault saw before its effect and needs for its evidence; `owners`
    knows which workload a pod belongs to.
    """

    kube: Kube
    keeper: Keeper | None = None
    cluster: LocalCluster | None = None
    guard: Callable[[], Awaitable[None]] = _no_guard
    emit: Callable[[str, dict[str, Any]], None] = _no_emit
    notes: dict[str, Facts] = field(default_factory=dict)
    owners: Owners = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "owners", Owners(self.kube))

    def note(self, fault: PlannedFault) -> Facts:
        """Return what was noted for this fault, to be read and added to."""
        return self.notes.setdefault(fault.id, {})

    def need_keeper(self) -> Keeper:
        """Return the keeper; raises PreconditionFailed where there is none."""
        if self.keeper is None:
            raise PreconditionFailed(
                "this fault needs the keeper",
                why="it is done, and undone when the run dies, on the side of the node containers",
                hint="run it on the local cluster: `harness up`",
            )
        return self.keeper

    def container(self, node: str) -> str:
        """Return the name of a node's container."""
        return self.cluster.nodes.get(node, node) if self.cluster else node


class Fault(Protocol):
    """One kind of fault: undo is known before inject, evidence comes from outside the fault."""

    kind: str
    hand: Hand

    def undo(self, fault: PlannedFault, reach: Reach) -> Undo:
        """List the ledger operations that heal this fault without the process that made it; [] when there are none."""
        ...

    def loses(self, fault: PlannedFault, pod: Pod) -> bool:
        """Say whether a pod that it reaches is gone afterwards, unless somebody makes another."""
        ...

    async def inject(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Do it, and return the facts of the injection."""
        ...

    async def felt(self, fault: PlannedFault, reach: Reach) -> Facts | None:
        """Wait for evidence that the target feels it; the caller sets the deadline by cancelling."""
        ...

    async def heal(self, fault: PlannedFault, reach: Reach) -> None:
        """Ask for the undo."""
        ...

    async def healed(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Wait until the system has what it lost; the caller sets the deadline by cancelling."""
        ...
