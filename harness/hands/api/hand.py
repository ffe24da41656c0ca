"""The API server's faults are made and undone by their own requests: the hand itself has nothing to add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.errors import PreconditionFailed
from harness.hands.healer import Healer
from harness.hands.kind import Acting, HandKind, Place
from harness.model.check import Check
from harness.model.fault import FaultSpec, Hand


async def ready(place: Place, faults: Sequence[FaultSpec]) -> None:
    """Return at once: whether the user may, the API server says."""


def take(healer: Healer) -> Acting:
    """Raise PreconditionFailed: a fault of this hand asks the API server itself."""
    raise PreconditionFailed("this hand acts through the API server alone", hint="ask it with the run's client")


async def residue(place: Place) -> Mapping[str, str]:
    """Return nothing: what is written down in the cluster is seen there."""
    return {}


async def checks(place: Place) -> list[Check]:
    """Return nothing: rights are asked for fault by fault."""
    return []


HAND = HandKind(hand=Hand.API, by_healer=False, ready=ready, take=take, residue=residue, checks=checks)
