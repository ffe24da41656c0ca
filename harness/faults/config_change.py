"""Change one key of a ConfigMap or a Secret for a time: removed, emptied, garbled, or set to a text.

What was there is kept beside it, in an object of the same kind in the same namespace: whoever may read the one may
read the other, and it goes with it. So no value is in ledger, journal, Fault or report, and any process that may read
it can undo. A Secret is never set to a text of the document. The undo writes only where the key is as this fault left
it; what somebody else wrote meanwhile stays, and is told of. The plan names and counts the pods that read it, by a
volume, their environment or to pull images; a fault that no pod would notice is refused, unless `readers: api` says
that something else reads it. Felt when the API server serves the change. A volume shows it within about a minute and a
half (the kubelet's sync and its cache), never by subPath; an environment at the next start of its container.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.errors import InjectionFailed
from harness.faults import kept
from harness.faults.kind import FaultKind, Object, Unfit, as_recorded, recorded
from harness.hands.api import undoing
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Target, Undo
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault, Victim
from harness.targets import keys, objects
from harness.targets.keys import CHANGES, REMOVED, SET
from harness.targets.reach import Facts, Reach

KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")


def clash(target: Target, parameters: Mapping[str, Any]) -> tuple[str, Unfit] | None:
    """Say what of a document cannot go together."""
    setting = parameters.get("change") == SET
    if not KEY.fullmatch(str(parameters.get("key") or "unread")):
        return "key", Unfit("this is no key of a ConfigMap or a Secret", "one has letters, digits and -._ only")
    if setting and parameters.get("to") is None:
        return "change", Unfit("'change: set' needs 'to'", "it is the text that the key is set to")
    if not setting and parameters.get("to") is not None:
        return "to", Unfit("'to' belongs to 'change: set'", "any other change says what becomes of the key")
    if setting and target.config.startswith("Secret/"):
        why = "a document is read by more people than a Secret"
        return "to", Unfit("a Secret is not set to a text of the document", why, "change: garbled")
    return None


def unfit(parameters: Mapping[str, Any], item: Object, victim: Victim) -> Unfit | None:
    """Say that the target would not change."""
    key, how, to = parameters["key"], parameters["change"], parameters.get("to")
    if item.get("immutable"):
        return Unfit(f"{victim.owner} is immutable", "the API server refuses every change of it", "aim at another one")
    if key not in keys.known(item) and how != SET:
        return Unfit(f"{victim.owner} has no key '{key}'", f"its keys: {', '.join(keys.known(item)) or 'none'}")
    if keys.unchanged(item, key, how, to):
        return Unfit(f"'{key}' of {victim.owner} is so already", "nothing would change")
    if keys.forbidden(item, key, how):
        why = f"the API server would not keep one whose '{key}' is {how}"
        return Unfit(f"{victim.owner}: {item['type']} forbids this change", why, "another change, or another key")
    return None


async def prepare(fault: PlannedFault, reach: Reach) -> Undo:
    """Read what is there, and say where it will be kept."""
    item, victim, told = await objects.read(reach.kube, fault), fault.victim, fault.parameters
    if found := unfit(told, item, victim):
        raise InjectionFailed(found.what, where=str(victim), why=found.why, hint=found.hint)
    change = keys.change(item, told["key"], told["change"], told.get("to"), fault.id)
    return await kept.prepare(fault, reach, item, change)


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Keep what is there, then change it, while it is of the version that was read."""
    await kept.inject(fault, reach)
    return {"uid": fault.victim.uid, "key": fault.parameters["key"], "change": fault.parameters["change"]}


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the API server serves the change, and name the pods that read it."""
    note = reach.note(fault)
    change: keys.Change = note["change"]

    def changed(item: Object | None) -> Facts | None:
        if item is None or undoing.found_at(item, change.pointer) != change.bad:
            return None
        return {"key": fault.parameters["key"], "pods": ", ".join(note["using"]) or "none"}

    return await objects.until(reach, fault.victim.path, changed)


FAULT = FaultKind(
    name="config_change",
    hand=Hand.API,
    target="config",
    summary="Change a key of a ConfigMap or a Secret: removed, emptied, garbled or set, and back.",
    evidence="the API server serves the change, and pods read it",
    healed_when="the API server serves what was there, or what somebody else wrote since",
    disturbs=frozenset({Disturbance.SERVING}),
    parameters=(
        Parameter("key", Type.TEXT, "Which key.", required=True),
        Parameter("change", Type.TEXT, f"What becomes of it: {', '.join(CHANGES)}.", default=REMOVED, choices=CHANGES),
        Parameter("to", Type.TEXT, "What a key of a ConfigMap is set to."),
        kept.READERS,
    ),
    rights=kept.rights("configmaps", "secrets"),
    of_target=lambda target: kept.rights(objects.PLURALS[target.config.partition("/")[0]]),
    clash=clash,
    unfit=unfit,
    reaches=objects.every,
    spends=True,
    prepare=prepare,
    undo=recorded,
    inject=inject,
    felt=felt,
    heal=as_recorded,
    healed=kept.healed,
)
