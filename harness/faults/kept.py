"""What faults on a key of a ConfigMap or a Secret have in common: what is there is kept beside it, and given back.

Any process that may read the copy can undo. It is of the same kind, in the same namespace, and goes with its object.
"""

from __future__ import annotations

from harness.errors import InjectionFailed
from harness.faults.kind import Object, Rule
from harness.hands.api import undoing
from harness.model.fault import Undo
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.resources import resource
from harness.targets import keys, objects, readers
from harness.targets.reach import Facts, Reach

PODS, API = "pods", "api"
READERS = Parameter(
    "readers", Type.TEXT, "Who reads it: pods, or something by the API.", default=PODS, choices=(PODS, API)
)


async def prepare(fault: PlannedFault, reach: Reach, item: Object, change: keys.Change) -> Undo:
    """Say where what is there will be kept, and note the change; raises InjectionFailed where nobody reads it."""
    victim = fault.victim
    using = [pod["metadata"]["name"] for pod in await readers.pods_of(reach.kube, reach.owners, victim)]
    if not using and fault.parameters.get("readers") != API:
        why, hint = "to change what nobody reads proves nothing", "readers: api, where something else reads it"
        raise InjectionFailed("no pod reads it", where=str(victim), why=why, hint=hint)
    if len(using) > len(fault.takes):
        raise InjectionFailed(f"{len(using)} pods read it, the plan counted {len(fault.takes)}", where=str(victim))
    copy = f"{victim.path.rpartition('/')[0]}/{resource.beside(fault)}"
    reach.note(fault).update(change=change, using=using, copy=copy)
    undo = {"op": "restore", "path": victim.path, "patch": list(change.tests), "map": change.pointer.rpartition("/")[0]}
    return [{**undo, "copy": copy, "version": item["metadata"]["resourceVersion"]}]


async def inject(fault: PlannedFault, reach: Reach) -> None:
    """Keep what is there, then make the change that was noted, while it is of the version that was read."""
    change: keys.Change = reach.note(fault)["change"]
    await reach.guard()
    await keys.keep(fault, reach, change, reach.note(fault)["copy"])
    await objects.change(fault, reach, change.there)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the API server serves another value than the fault's."""
    note = reach.note(fault)
    change: keys.Change = note["change"]

    def back(item: Object | None) -> Facts | None:
        if item is None or note.get("left"):
            return {"config": "left as somebody else has it" if item else "gone"}
        return {"config": "back"} if undoing.found_at(item, change.pointer) != change.bad else None

    return await objects.until(reach, fault.victim.path, back)


def rights(*plurals: str) -> tuple[Rule, ...]:
    """List what it takes to change these, and to keep beside them what was there."""
    return ({"apiGroups": [""], "resources": list(plurals), "verbs": ["get", "create", "patch", "delete"]},)
