"""Make it clean again, from any process: heal what the keeper's ledger and the Fault resources name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import anyio

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine import contexts, lease
from harness.engine import scope as scopes
from harness.engine.scope import Scope
from harness.errors import HarnessError, UndoFailed
from harness.faults import REGISTRY, resource
from harness.faults.reach import Reach
from harness.keeper.client import Keeper

HEAL_SECONDS = 60.0


async def undo(
    kube: Kube, cluster: LocalCluster | None, say: Callable[[str], None], *, run: str = "", namespace: str = ""
) -> int:
    """Heal every fault, or those of one run or namespace, and return how many there were.

    Connecting as a run of its own makes the keeper heal what its ledger still names. Raises RunInProgress while a run
    lives, UndoFailed when something is still broken afterwards.
    """
    scope = await scopes.of(kube, namespace)
    if scope.alone:
        say(f"only namespace {scope.system} is looked at")
    with scopes.permitted(kube, scope, "undo what is broken here"):
        return await _undo(kube, cluster, say, run, scope)


async def _undo(kube: Kube, cluster: LocalCluster | None, say: Callable[[str], None], run: str, scope: Scope) -> int:
    keeper = await Keeper.connect(cluster.keeper_socket, "undo", lease.SECONDS) if cluster else None
    failed: list[str] = []
    try:
        own = await lease.current(kube, scope.system)
        leases = ([own] if own else []) if scope.alone else await lease.everywhere(kube)
        # A keeper knows of the runs that it heals after; of one that had none, or sees one namespace, nobody does.
        unknown = [item["metadata"]["namespace"] for item in leases if lease.alone(item) or lease.unkept(item)]
        for place in dict.fromkeys([*([] if keeper else [scope.system]), *unknown]):
            await lease.outlive(kube, place)
        holder = ((await lease.current(kube, scope.system)) or {}).get("spec", {}).get("holderIdentity")
        found = [item for item in await resource.list_all(kube, *scope.inside) if item["spec"]["run"].startswith(run)]
        async with anyio.create_task_group() as beating:
            if keeper:
                beating.start_soon(_beat, keeper)
            for item in found:
                await _one(item, Reach(kube=kube, keeper=keeper, cluster=cluster), say, failed)
            beating.cancel_scope.cancel()
        if not run:
            same = [item for item in leases if holder and item["spec"].get("holderIdentity") == holder]
            for place in {scope.system, *(item["metadata"]["namespace"] for item in same)}:
                await lease.clear(kube, place)
    finally:
        if keeper:
            await keeper.end()
    if failed:
        raise UndoFailed(
            "something is still broken",
            why="; ".join(failed),
            hint=f"mend what is named, then `{contexts.command(kube, 'harness', 'undo', *scope.words)}`",
        )
    return len(found)


async def _beat(keeper: Keeper) -> None:
    """Keep the keeper from taking a long undo for a dead one."""
    with contextlib.suppress(HarnessError):  # a keeper that is lost is told of by whatever it was asked to heal
        while True:
            await anyio.sleep(lease.RENEW_EVERY)
            await keeper.beat()


async def _one(item: dict[str, Any], reach: Reach, say: Callable[[str], None], failed: list[str]) -> None:
    fault = resource.planned(item)
    kind = REGISTRY.get(fault.kind)
    if kind is None:
        failed.append(f"{fault.kind} on {fault.victim}: this version does not know the fault")
        return
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
        failed.append(f"{fault.kind} on {fault.victim}: {str(error) or 'no end'}")
        return
    say(f"healed {fault.kind} on {fault.victim}")
