"""Make it clean again, from any process: heal what the keeper's ledger and the Fault resources name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine import contexts, lease
from harness.engine.preflight import scope as scopes
from harness.engine.preflight.scope import Scope
from harness.engine.undoing import healing
from harness.errors import HarnessError, PreconditionFailed, RunInProgress, UndoFailed
from harness.faults import FAULTS
from harness.hands import healer as healers
from harness.hands.healer import Healer, Nobody
from harness.hands.known import HANDS
from harness.model.plan import PlannedFault
from harness.resources import resource
from harness.targets.reach import Reach

HEAL_SECONDS = 60.0


async def undo(
    kube: Kube, cluster: LocalCluster | None, say: Callable[[str], None], *, run: str = "", namespace: str = ""
) -> int:
    """Heal every fault, or those of one run or namespace, and return how many there were.

    Connecting as a run of its own makes the keeper heal what its ledger still names; one that is away is started.
    Without any, what needs none is healed all the same. Raises RunInProgress while a run lives, UndoFailed when
    something is still broken afterwards, or nobody can say.
    """
    scope = await scopes.of(kube, namespace)
    if scope.alone:
        say(f"only namespace {scope.system} is looked at")
    with scopes.permitted(kube, scope, "undo what is broken here"):
        return await _undo(kube, cluster, say, run, scope)


async def _undo(kube: Kube, cluster: LocalCluster | None, say: Callable[[str], None], run: str, scope: Scope) -> int:
    failed: list[str] = []
    healer = await _healer(cluster, say, failed)
    try:
        own = await lease.current(kube, scope.system)
        leases = ([own] if own else []) if scope.alone else await lease.everywhere(kube)
        # A keeper knows of the runs that it heals after; of one that had none, or sees one namespace, nobody does.
        unknown = [item["metadata"]["namespace"] for item in leases if lease.alone(item) or lease.unkept(item)]
        for place in dict.fromkeys([*([] if healer.own else [scope.system]), *unknown]):
            await lease.outlive(kube, place)
        holder = ((await lease.current(kube, scope.system)) or {}).get("spec", {}).get("holderIdentity")
        there = await resource.list_all(kube, *scope.inside)
        found = [item for item in there if item["spec"]["run"].startswith(run)]
        if others := sorted({item["spec"]["run"] for item in there} - {item["spec"]["run"] for item in found}):
            every = contexts.command(kube, "harness", "undo", *scope.words)
            say(f"left broken: what {', '.join(others)} broke; `{every}` heals that, too")
        async with anyio.create_task_group() as beating:
            beating.start_soon(_beat, healer)
            for item in found:
                await _one(item, Reach(kube=kube, healer=healer, cluster=cluster), say, failed)
            beating.cancel_scope.cancel()
        if not run:
            same = [item for item in leases if holder and item["spec"].get("holderIdentity") == holder]
            for place in {scope.system, *(item["metadata"]["namespace"] for item in same)}:
                await lease.clear(kube, place, holder or "")
    finally:
        await healer.end()
    if failed:
        raise UndoFailed(
            "something is still broken",
            why="; ".join(failed),
            hint=f"mend what is named, then `{contexts.command(kube, 'harness', 'undo', *scope.words)}`",
        )
    return len(found)


async def _healer(cluster: LocalCluster | None, say: Callable[[str], None], failed: list[str]) -> Healer:
    """Connect to the healer, and start one that is away; what it alone knows of has failed where none is had."""
    try:
        return await healers.started(cluster, "undo", lease.SECONDS, say)
    except RunInProgress:
        raise
    except PreconditionFailed as error:
        failed.append(f"whatever only the keeper knows of: {error}")
        return Nobody()


async def _beat(healer: Healer) -> None:
    """Keep the healer from taking a long undo for a dead one."""
    with contextlib.suppress(HarnessError):  # a keeper that is lost is told of by whatever it was asked to heal
        while True:
            await anyio.sleep(lease.RENEW_EVERY)
            await healer.beat()


async def _one(item: dict[str, Any], reach: Reach, say: Callable[[str], None], failed: list[str]) -> None:
    what, operations = item["metadata"]["name"], item["spec"].get("undo") or []
    try:
        fault = resource.planned(item)
        what = f"{fault.kind} on {fault.victim}"
        kind, note = FAULTS.get(fault.kind), reach.note(fault)
        note["undo"] = operations
        with anyio.fail_after(HEAL_SECONDS):
            by_path = HANDS[fault.hand].undo if fault.hand in HANDS and kind is None else None
            if by_path:
                await by_path(reach.kube, resource.path(fault))
            elif kind is None or HANDS[fault.hand].by_healer:
                await _by_ledger(fault, operations, reach, known=kind is not None)
            else:
                await healing.ask(kind, fault, reach)
            if operations:
                await _forget(reach, fault)
        await resource.delete(reach.kube, fault)
    except (HarnessError, TimeoutError) as error:
        failed.append(f"{what}: {str(error) or healing.late(fault, reach, HEAL_SECONDS)}")
        return
    except Exception as bug:  # one undo that breaks must not cut the others
        failed.append(f"{what}: {type(bug).__name__}: {bug}")
        return
    left = [await healing.left_of(fault, reach)] if kind else []
    say("; ".join([f"healed {what}", *note.get("left", []), *filter(None, left)]))


async def _by_ledger(fault: PlannedFault, operations: Sequence[dict[str, Any]], reach: Reach, *, known: bool) -> None:
    """Have the healer do the undo that was written down, which needs no knowledge of the fault."""
    if fault.hand not in HANDS or not (known or operations):
        raise UndoFailed("this version does not know the fault", hint="heal it with the version that made it")
    hand = reach.by(fault)
    await hand.register(fault.id, list(operations))
    await hand.heal(fault.id)


async def _forget(reach: Reach, fault: PlannedFault) -> None:
    """Strike a healed fault off the ledger; a healer that does not answer heals it once more, which changes nothing."""
    with contextlib.suppress(HarnessError, TimeoutError):
        with anyio.fail_after(healing.FORGET_SECONDS):
            await reach.by(fault).forget(fault.id)
