"""The API server's faults are made and undone by their own requests; the healer remembers them all the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import PreconditionFailed
from harness.hands.api import kubectl
from harness.hands.healer import Healer, Nobody
from harness.hands.kind import HandKind, Place, Taken
from harness.model.check import Check
from harness.model.fault import FaultSpec, Hand, Undo


@dataclass(frozen=True, slots=True)
class ApiHand:
    """The hand of one run: what it does, a fault asks the API server itself.

    `control_plane` is the container where its healer has kubectl, empty where there is no healer.
    """

    healer: Healer
    control_plane: str = ""

    async def register(self, fault_id: str, undo_ops: Undo) -> None:
        """Have the healer remember how a fault is undone without this process."""
        await self.healer.register(fault_id, [kubectl.said(op, self.control_plane) for op in undo_ops])

    async def apply(self, fault_id: str, ops: Undo) -> dict[str, Any]:
        """Raise PreconditionFailed: there is nothing but requests."""
        raise _not_by_operations()

    async def inspect(self, thing: str) -> dict[str, Any]:
        """Raise PreconditionFailed: there is nothing but requests."""
        raise _not_by_operations()

    async def heal(self, fault_id: str) -> Any:
        """Have the healer undo it, where the API server does not answer this process."""
        return await self.healer.heal(fault_id)

    async def forget(self, fault_id: str) -> None:
        """Have the healer forget it."""
        await self.healer.forget(fault_id)


def _not_by_operations() -> PreconditionFailed:
    return PreconditionFailed("this hand acts through the API server alone", hint="ask it with the run's client")


async def ready(place: Place, faults: Sequence[FaultSpec]) -> None:
    """Return at once: whether the user may, the API server says."""


def take(place: Place, healer: Healer) -> Taken:
    """Return the hand; there is one wherever the API server is reached.

    A healer that is not the cluster's own has no kubectl there: it remembers nothing of what the API server is asked.
    """
    return ApiHand(healer if healer.own else Nobody(), place.cluster.control_plane if place.cluster else "")


async def residue(place: Place) -> Mapping[str, str]:
    """Return nothing: what is written down in the cluster is seen there."""
    return {}


async def checks(place: Place) -> list[Check]:
    """Return nothing: rights are asked for fault by fault."""
    return []


HAND = HandKind(hand=Hand.API, by_healer=False, ready=ready, take=take, residue=residue, checks=checks)
