"""Make it clean again, from any process: heal what the keeper's ledger and the Fault resources name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine import lease
from harness.errors import ApiError, HarnessError, UndoFailed
from harness.faults import REGISTRY, resource
from harness.faults.reach import Reach
from harness.keeper.client import Keeper

HEAL_SECONDS = 60.0


async def undo(kube: Kube, cluster: LocalCluster | None, say: Callable[[str], None], *, run: str = "") -> int:
    """Heal every fault, or those of one run, and return how many there were.

    Connecting as a run of its own makes the keeper heal what its ledger still names. Raises RunInProgress while a run
    lives, UndoFailed when something is still broken afterwards.
    """
    keeper = await Keeper.connect(cluster.keeper_socket, "undo", lease.SECONDS) if cluster else None
    failed: list[str] = []
    try:
        found = await _faults(kube, run)
        for item in found:
            await _one(item, Reach(kube=kube, keeper=keeper, cluster=cluster), say, failed)
        if not run:
            await lease.clear(kube)
    finally:
        if keeper:
            await keeper.end()
    if failed:
        raise UndoFailed(
            "something is still broken", why="; ".join(failed), hint="mend what is named, then `harness undo`"
        )
    return len(found)


async def _faults(kube: Kube, run: str) -> list[dict[str, Any]]:
    try:
        items = await resource.list_all(kube)
    except ApiError as error:
        if error.status == 404:
            return []
        raise
    return [item for item in items if item["spec"]["run"].startswith(run)]


async def _one(item: dict[str, Any], reach: Reach, say: Callable[[str], None], failed: list[str]) -> None:
    fault = resource.planned(item)
    kind = REGISTRY[fault.kind]
    try:
        operations = kind.undo(fault, reach)
        if reach.keeper and operations:
            await reach.keeper.register(fault.id, operations)
        with anyio.fail_after(HEAL_SECONDS):
            await kind.heal(fault, reach)
            if reach.keeper and operations:
                await reach.keeper.forget(fault.id)
        await resource.delete(reach.kube, fault)
    except (HarnessError, TimeoutError) as error:
        failed.append(f"{fault.kind} on {fault.victim}: {error or 'no end'}")
        return
    say(f"healed {fault.kind} on {fault.victim}")
