"""What faults of a namespace make beside it: created under a name of the fault's own, and deleted by its undo."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from harness.errors import ApiError, InjectionFailed
from harness.faults.kind import Object, Unfit
from harness.model.fault import Undo
from harness.model.plan import PlannedFault, Victim
from harness.targets import objects
from harness.targets.reach import Facts, Reach

LABELS = {"app.kubernetes.io/part-of": "chaos-harness"}


def unfit(parameters: Mapping[str, Any], item: Object, victim: Victim) -> Unfit | None:
    """Say that the namespace admits nothing any more."""
    if (item.get("status") or {}).get("phase") != "Terminating":
        return None
    return Unfit(f"{victim.owner} is being deleted", "nothing is admitted there any more")


def prepare(path: Callable[[PlannedFault], str]) -> Callable[[PlannedFault, Reach], Awaitable[Undo]]:
    """Make what says what is to be deleted: nothing else has a name that ends with this fault's."""

    async def found(fault: PlannedFault, reach: Reach) -> Undo:
        await objects.read(reach.kube, fault)
        return [{"op": "delete", "path": path(fault)}]

    return found


async def create(reach: Reach, path: str, api: str, kind: str, **fields: Any) -> str:
    """Create what a fault makes, after the guard, and return its name; raises InjectionFailed where it is there."""
    collection, _, name = path.rpartition("/")
    await reach.guard()
    try:
        made = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": LABELS}, **fields}
        await reach.kube.create(collection, made)
    except ApiError as error:
        if error.status != 409:
            raise
        raise InjectionFailed(f"a {kind} of that name is there already", where=path) from error
    return name


async def gone(reach: Reach, path: str, what: str) -> Facts:
    """Wait until it is gone."""
    return await objects.until(reach, path, lambda item: None if item else {what: "gone"})
