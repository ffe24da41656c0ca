"""What a fault may use to do its work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.errors import PreconditionFailed
from harness.model.plan import PlannedFault
from harness.workloads import Owners

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.cluster.local import LocalCluster
    from harness.keeper.client import Keeper

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
