"""Node containers are reached through the keeper: it acts, and has what it did on its ledger before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from harness.errors import HarnessError, PreconditionFailed
from harness.hands import healer
from harness.hands.healer import Healer
from harness.hands.kind import HandKind, Place, Taken
from harness.keeper import client
from harness.keeper.client import Keeper
from harness.model.check import Check
from harness.model.fault import FaultSpec, Hand


async def ready(place: Place, faults: Sequence[FaultSpec]) -> None:
    """Return on the local cluster; raises PreconditionFailed elsewhere."""
    if place.cluster is None:
        raise PreconditionFailed(
            "faults of the host hand need the local cluster's keeper", where=place.kube.context, hint="harness up"
        )


def take(place: Place, of_run: Healer) -> Taken:
    """Return the keeper; raises PreconditionFailed where there is none."""
    if not of_run.heals:
        raise healer.needed()
    # The one healer there is acts, too.
    return cast(Keeper, of_run)


async def residue(place: Place) -> Mapping[str, str]:
    """Return what is on the keeper's ledger."""
    if place.cluster is None:
        return {}
    try:
        return {"keeper/owes": ", ".join(await client.owed(place.cluster.keeper_socket))}
    except PreconditionFailed:
        return {"unseen/keeper": "away"}


async def checks(place: Place) -> list[Check]:
    """Say whether the keeper listens, sees Docker and owes nothing."""
    if place.cluster is None:
        return []
    try:
        status = await client.status(place.cluster.keeper_socket)
    except HarnessError as error:
        return [Check("cluster", "keeper", False, error.what, "harness up")]
    if status.get("docker") is False:
        return [Check("cluster", "keeper", False, "it cannot reach Docker, and so heal nothing", "harness up")]
    debts = status["owed"]
    said = f"owes {', '.join(debts)}" if debts else "alive, owes nothing"
    return [Check("cluster", "keeper", not debts, said, "harness undo")]


HAND = HandKind(hand=Hand.HOST, by_healer=True, ready=ready, take=take, residue=residue, checks=checks)
