"""Undo what a fault changed through the API server, by what was written down before the change.

An operation needs nothing but itself, may be done twice, and touches only what is still as the fault left it:

- `restore`: a JSON patch for one object, whose tests say what the fault set, one without a value that nothing is
  there. With `copy` what follows the tests lies in an object of that path, which goes afterwards: a value that must
  not be read elsewhere is kept where it may be. With `map` something is added to that mapping, which is made where it
  is not there: an API server leaves out an empty one. A change that is still on its way is for one `version` of the
  object only, so first of all that version must have passed. `ours` is a text that nobody but this fault would have put
  there.
- `sweep`: delete whatever in a collection holds the text `ours`; of what is `unready` alone, where it says so.
- `delete`: delete one object by its path.
- `untaint`: take the taint with this `key` off a node.
- `unroute`: of the HTTP routes of a VirtualService, delete those of this `name`, which is a fault's own; without one,
  take this very `fault` off all but those whose names are in `spare`. They are looked for wherever they are by then.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import ApiError, UndoFailed
from harness.model.fault import Undo

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

Op = Mapping[str, Any]
# Where a copy holds what follows the tests of a patch.
PATCH = "patch"
# Written and taken back, it makes another version of an object, and nothing else.
PASSED = "chaos.harness.dev/passed"
# Somebody else may write between a look and a change; who writes that often is no steady state.
TRIES = 5
CHANGED = (409, 422)


async def perform(kube: Kube, ops: Undo) -> list[str]:
    """Do these operations in their order, and say of each thing that somebody else has changed that it stays so.

    Raises UndoFailed where what the fault did cannot be taken back, ApiError, and ClusterUnreachable.
    """
    if other := sorted({op["op"] for op in ops} - DOES.keys()):
        why, hint = "another version of the harness wrote it down", "undo it with that version"
        raise UndoFailed(f"this undo is not known here: {', '.join(other)}", why=why, hint=hint)
    return [left for op in ops if (left := await DOES[op["op"]](kube, op))]


def written(patch: Sequence[Op]) -> str:
    """Write a patch so that YAML, as which kubectl reads it, says the same as JSON.

    YAML knows no pairs of surrogates, so what is above U+FFFF stays as it is; what else YAML reads otherwise is named.
    """
    text = json.dumps(list(patch), ensure_ascii=False)
    return re.sub(r"[\x7f-\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def text_of(path: str, patch: Sequence[Op]) -> dict[str, str]:
    """Return the data of a copy at this path that holds the rest of a patch, as its kind writes data."""
    text = written(patch)
    return {PATCH: base64.b64encode(text.encode()).decode() if _secret(path) else text}


def found_at(item: Any, pointer: str) -> Any:
    """Return what a JSON pointer leads to; None where there is nothing."""
    for word in pointer.split("/")[1:]:
        key = word.replace("~1", "/").replace("~0", "~")
        if isinstance(item, list):
            item = item[int(key)] if key.isdecimal() and int(key) < len(item) else None
        else:
            item = item.get(key) if isinstance(item, Mapping) else None
    return item


def escaped(key: str) -> str:
    """Write a key as a step of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


async def _restore(kube: Kube, op: Op) -> str:
    tests = [one for one in op["patch"] if one["op"] == "test"]
    rest = [one for one in op["patch"] if one["op"] != "test"]
    if "copy" not in op:
        return await _patch(kube, op, tests, rest, kept=False)
    rest = _held(op["copy"], await look(kube, op["copy"]))
    await _pass(kube, op)
    left = await _patch(kube, op, tests, rest, kept=True)
    await _remove(kube, op["copy"])
    return left


async def take_back(kube: Kube, op: Op, made: Op) -> Op:
    """Do a `restore` whose tests need not hold, and return the object; raises ApiError where it has changed since."""
    held = _held(op["copy"], await look(kube, op["copy"])) if "copy" in op else []
    rest = [one for one in (*op["patch"], *held) if one["op"] != "test"]
    if _restored(made, rest):
        return made
    return await kube.patch(op["path"], [version(made), *_holder(made, op), *rest], kind="json")


def _restored(item: Op, rest: Sequence[Op]) -> bool:
    return all(_bare(found_at(item, one["path"])) == _bare(one.get("value")) for one in rest)


def _holder(item: Op, op: Op) -> list[Op]:
    holder = op.get("map", "")
    return [{"op": "add", "path": holder, "value": {}}] if found_at(item, holder) is None else []


async def _pass(kube: Kube, op: Op) -> None:
    """Make another version of an object that is still of the one that a change may be on its way for.

    The mark that makes it goes, also one of an undo that was cut.
    """
    metadata = (await look(kube, op["path"]) or {}).get("metadata", {})
    old = metadata.get("resourceVersion") == op["version"]
    marked = PASSED in (metadata.get("annotations") or {})
    for value in [*(["yes"] if old else []), *([None] if old or marked else [])]:
        await kube.patch(op["path"], {"metadata": {"annotations": {PASSED: value}}})


async def _patch(kube: Kube, op: Op, tests: Sequence[Op], rest: Sequence[Op], *, kept: bool) -> str:
    path, refused = op["path"], ""
    for _ in range(TRIES):
        item = await look(kube, path)
        if item is None:
            return ""
        other = differing(item, tests)
        if other is not None:
            if _restored(item, rest):
                return ""
            if op.get("ours") and op["ours"] in json.dumps(item):
                raise UndoFailed(
                    f"{path} was changed by somebody else, and what this fault put there has moved",
                    why=f"it is not at {other['path']} any more, but still somewhere in it",
                    hint=f"look for {op['ours']} and take it out",
                )
            value = "" if kept else f" to {json.dumps(found_at(item, other['path']))[:60]}"
            return f"{path}: somebody else set {other['path']}{value}, so it was left as it is"
        if not rest:
            raise UndoFailed(
                f"{path} cannot be made what it was", why=f"its copy {op['copy']} is gone", hint="apply it anew"
            )
        made = _holder(item, op)
        missing = [{"op": "test", "path": one["path"]} for one in made]
        try:
            await kube.patch(path, [*guards(item, [*tests, *missing]), *made, *rest], kind="json")
            return ""
        except ApiError as error:
            if error.status not in CHANGED:
                raise
            # What an API server quotes of a value that is kept apart belongs into no message.
            refused = f"{error.status} {error.reason}" if kept else str(error)
    raise UndoFailed(f"{path} could not be made what it was", why=refused)


def differing(item: Op, tests: Sequence[Op]) -> Op | None:
    """Return the first test that does not hold."""
    return next((one for one in tests if _bare(found_at(item, one["path"])) != _bare(one.get("value"))), None)


def version(item: Op) -> dict[str, Any]:
    """Say in a JSON patch that an object must be of the version that was read."""
    return {"op": "test", "path": "/metadata/resourceVersion", "value": item["metadata"]["resourceVersion"]}


def guards(item: Op, tests: Sequence[Op]) -> Sequence[Op]:
    """Let the API server itself look once more; what is absent it can test only by the version of the whole."""
    found = [{**one, "value": found_at(item, one["path"])} for one in tests]
    present = [one for one in found if one["value"] is not None]
    if len(present) < len(found):
        present.append(version(item))
    return present


def _bare(value: Any) -> Any:
    """Leave out what some API servers write and others do not: a count of none, a mapping of nothing."""
    if not isinstance(value, Mapping):
        return value
    return {key: one for key, one in value.items() if one not in (0, None)} or None


def _held(path: str, copy: Op | None) -> list[Op]:
    if copy is None:
        return []
    text = copy["data"][PATCH]
    found: list[Op] = json.loads(base64.b64decode(text) if _secret(path) else text)
    return found


def _secret(path: str) -> bool:
    return path.split("/")[-2] == "secrets"


async def _sweep(kube: Kube, op: Op) -> str:
    for item in await kube.list(op["path"]):
        if op["ours"] in json.dumps(item) and not (op.get("unready") and _ready(item)):
            await _remove(kube, f"{op['path']}/{item['metadata']['name']}")
    return ""


def _ready(item: Op) -> bool:
    conditions = item.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


async def _delete(kube: Kube, op: Op) -> str:
    await _remove(kube, op["path"])
    return ""


async def _untaint(kube: Kube, op: Op) -> str:
    refused = ""
    for _ in range(TRIES):
        node = await look(kube, op["path"])
        taints = (node or {}).get("spec", {}).get("taints") or []
        place = next((number for number, one in enumerate(taints) if one["key"] == op["key"]), None)
        if place is None:
            return ""
        at = f"/spec/taints/{place}"
        away = [{"op": "test", "path": at, "value": taints[place]}, {"op": "remove", "path": at}]
        try:
            await kube.patch(op["path"], away, kind="json")
        except ApiError as error:
            if error.status not in CHANGED:
                raise
            refused = str(error)
    raise UndoFailed(f"{op['path']} keeps its taint {op['key']}", why=refused)


async def _unroute(kube: Kube, op: Op) -> str:
    refused = ""
    for _ in range(TRIES):
        item = await look(kube, op["path"])
        if item is None:
            return ""
        places = routed(item, op)
        if not places:
            return _other_fault(item, op)
        try:
            removed = ({"op": "remove", "path": at} for at in places)
            await kube.patch(op["path"], [version(item), *removed], kind="json")
            return ""
        except ApiError as error:
            if error.status not in CHANGED:
                raise
            refused = str(error)
    raise UndoFailed(f"{op['path']} keeps a fault in its routes", why=refused)


def routed(item: Op, op: Op) -> list[str]:
    """Point at what an `unroute` takes away, the last one first: nothing moves what is still to go."""
    routes = [*enumerate(found_at(item, "/spec/http") or ())][::-1]
    if "name" in op:
        return [f"/spec/http/{number}" for number, one in routes if one.get("name") == op["name"]]
    meant = [(number, one) for number, one in routes if one.get("name", "") not in op["spare"]]
    return [f"/spec/http/{number}/fault" for number, one in meant if one.get("fault") == op["fault"]]


def _other_fault(item: Op, op: Op) -> str:
    routes = found_at(item, "/spec/http") or ()
    if "name" in op or not any("fault" in one and one.get("name", "") not in op["spare"] for one in routes):
        return ""
    return f"{op['path']}: somebody else set another fault of its routes, so it was left as it is"


async def look(kube: Kube, path: str) -> dict[str, Any] | None:
    """Return the object of a path; None where there is none."""
    try:
        return await kube.get(path)
    except ApiError as error:
        if error.status != 404:
            raise
        return None


async def _remove(kube: Kube, path: str) -> None:
    try:
        await kube.delete(path)
    except ApiError as error:
        if error.status != 404:
            raise


DOES: Mapping[str, Callable[[Kube, Op], Awaitable[str]]] = {
    "restore": _restore,
    "sweep": _sweep,
    "delete": _delete,
    "untaint": _untaint,
    "unroute": _unroute,
}
