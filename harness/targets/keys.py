"""One key of a ConfigMap or a Secret: what a fault makes of it, and what makes it again what it was."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import ApiError, InjectionFailed
from harness.hands.api import undoing
from harness.model.plan import PlannedFault
from harness.targets.kind import Object
from harness.targets.objects import expect
from harness.targets.reach import Reach

REMOVED, EMPTIED, GARBLED, SET = CHANGES = ("removed", "emptied", "garbled", "set")
Op = Mapping[str, Any]
# What the API server refuses to keep of a Secret, by its type and key (core/v1: SecretType, Kubernetes 1.34).
DEMANDED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "kubernetes.io/dockercfg": {".dockercfg": CHANGES},
    "kubernetes.io/dockerconfigjson": {".dockerconfigjson": CHANGES},
    "kubernetes.io/ssh-auth": {"ssh-privatekey": (REMOVED, EMPTIED)},
    "kubernetes.io/tls": {"tls.crt": (REMOVED,), "tls.key": (REMOVED,)},
}
BASIC, EITHER = "kubernetes.io/basic-auth", frozenset({"username", "password"})


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one key as JSON patches: `there` makes it, `back` undoes it where the `tests` hold.

    `pointer` leads to the key, `bad` is what it holds then; None: it is gone. What is given back is in no message.
    """

    pointer: str
    bad: str | None
    there: tuple[Op, ...]
    tests: tuple[Op, ...]
    back: tuple[Op, ...] = field(repr=False)


def known(item: Object) -> list[str]:
    """Name the keys of an object."""
    return sorted({**(item.get("data") or {}), **(item.get("binaryData") or {})})


def unchanged(item: Object, key: str, how: str, to: str | None) -> bool:
    """Say whether a key is so already."""
    field, before = _where(item, key)
    return before == _value(how, to, "", encoded=_encoded(item, field))


def forbidden(item: Object, key: str, how: str) -> bool:
    """Say whether the type of a Secret forbids a change of its key."""
    kind = str(item.get("type", ""))
    if kind == BASIC and how == REMOVED:
        return key in EITHER and not EITHER & {*known(item)} - {key}
    return how in DEMANDED.get(kind, {}).get(key, ())


def change(item: Object, key: str, how: str, to: str | None, identity: str) -> Change:
    """Work out how a key is changed and changed back; `identity` is what a garbled one is made of."""
    field, before = _where(item, key)
    bad = _value(how, to, identity, encoded=_encoded(item, field))
    pointer = f"/{field}/{undoing.escaped(key)}"
    there = _put(pointer, bad) if item.get(field) else {"op": "add", "path": f"/{field}", "value": {key: bad}}
    same, version = (expect(f"/metadata/{name}", item["metadata"][name]) for name in ("uid", "resourceVersion"))
    return Change(pointer, bad, (version, there), (same, expect(pointer, bad)), (_put(pointer, before),))


async def keep(fault: PlannedFault, reach: Reach, change: Change, copy: str) -> None:
    """Keep what undoes a change in an object at this path, which goes with the target; raises InjectionFailed."""
    victim, (collection, _, name) = fault.victim, copy.rpartition("/")
    kind = victim.owner.partition("/")[0]
    owner = {"apiVersion": "v1", "kind": kind, "name": victim.name, "uid": victim.uid}
    metadata = {"name": name, "labels": {"app.kubernetes.io/part-of": "chaos-harness"}, "ownerReferences": [owner]}
    data = undoing.text_of(copy, change.back)
    try:
        await reach.kube.create(collection, {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data})
    except ApiError as error:
        # What an API server quotes of a value belongs into no message.
        why = f"{error.status} {error.reason}"
        raise InjectionFailed("what is there cannot be kept beside it", where=str(victim), why=why) from None


def _put(pointer: str, value: str | None) -> Op:
    return {"op": "remove", "path": pointer} if value is None else {"op": "add", "path": pointer, "value": value}


def _where(item: Object, key: str) -> tuple[str, str | None]:
    """Return which of an object's fields has a key, and the value there."""
    field = "binaryData" if key in (item.get("binaryData") or {}) else "data"
    return field, (item.get(field) or {}).get(key)


def _encoded(item: Object, field: str) -> bool:
    return field == "binaryData" or item["kind"] == "Secret"


def _value(how: str, to: str | None, identity: str, *, encoded: bool) -> str | None:
    if how == REMOVED:
        return None
    text = {EMPTIED: "", SET: to or ""}.get(how, hashlib.sha256(identity.encode()).hexdigest())
    return base64.b64encode(text.encode()).decode() if encoded else text
