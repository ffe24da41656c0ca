"""Nodes are reached through the keeper: it acts, and has what it did on its ledger before.

On the local cluster it has the node containers, elsewhere the commands of a table (`harness keeper`).
"""

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
    """Return on the local cluster, and where the keeper is of this context; raises PreconditionFailed elsewhere."""
    if place.cluster:
        return
    socket, context = healer.place(None), place.kube.context
    if socket is None:
        raise PreconditionFailed(
            "faults of the host hand need a keeper",
            where=context,
            why="the local cluster has one; that of another is `harness keeper`, with the commands for its nodes",
            hint=f"harness up, or {healer.NAMED}=SOCKET",
        )
    if (other := (await client.status(socket))["version"]) != context:
        why = f"its table is of context {other}"
        raise PreconditionFailed(
            "the keeper is another cluster's",
            where=str(socket),
            why=why,
            hint=f"{healer.NAMED} names one of context {context}",
        )


def take(place: Place, of_run: Healer) -> Taken:
    """Return the keeper; raises PreconditionFailed where there is none."""
    if not of_run.heals:
        raise healer.needed()
    # The one healer there is acts, too.
    return cast(Keeper, of_run)


async def residue(place: Place) -> Mapping[str, str]:
    """Return what is on the keeper's ledger."""
    socket = healer.place(place.cluster)
    if socket is None:
        return {}
    try:
        return {"keeper/owes": ", ".join(await client.owed(socket))}
    except PreconditionFailed:
        return {"unseen/keeper": "away"}


async def checks(place: Place) -> list[Check]:
    """Say whether the keeper listens, sees Docker and owes nothing."""
    socket = healer.place(place.cluster)
    if socket is None:
        return []
    try:
        status = await client.status(socket)
    except HarnessError as error:
        start = "harness up" if place.cluster else f"harness keeper TABLE --socket {socket}"
        return [Check("cluster", "keeper", False, error.what, start)]
    if status.get("docker") is False:
        return [Check("cluster", "keeper", False, "it cannot reach Docker, and so heal nothing", "harness up")]
    debts = status["owed"]
    said = f"owes {', '.join(debts)}" if debts else "alive, owes nothing"
    return [Check("cluster", "keeper", not debts, said, "harness undo")]


HAND = HandKind(hand=Hand.HOST, by_healer=True, ready=ready, take=take, residue=residue, checks=checks)
