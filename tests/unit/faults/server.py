"""An API server that keeps what it is given: objects by path, JSON patches applied whole or not at all, scales."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import anyio

from harness.errors import ApiError
from harness.hands.api.undoing import found_at
from tests.unit.targets.fakes import SERVED

INVALID = "the server rejected our request due to an error in our request"


class Server:
    """Objects by path; `meanwhile` is done once, right before the next patch, as somebody else would do it.

    Each look raises one of the `failures` as long as there are any, a look at a whole collection one of its `hiccups`.
    """

    context = "here"

    def __init__(self, objects: dict[str, Any]) -> None:
        self.objects = copy.deepcopy(objects)
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.meanwhile: Any = None
        self.refuses: dict[str, ApiError] = {}
        self.webhook: Any = None
        self.failures: list[Exception] = []
        self.hiccups: dict[str, list[Exception]] = {}

    def replicas(self, path: str) -> Any:
        return self.objects[path]["spec"].get("replicas")

    async def get(self, path: str, **_: Any) -> dict[str, Any]:
        if path in SERVED:
            return SERVED[path]
        self._failing()
        return copy.deepcopy(self._at(path))

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        return (await self.list_at(path))[0]

    async def list_at(self, path: str, **_: Any) -> tuple[list[dict[str, Any]], str]:
        self._failing()
        if self.hiccups.get(path):
            raise self.hiccups[path].pop(0)
        found = [item for key, item in self.objects.items() if key.rpartition("/")[0] == path]
        return copy.deepcopy(found), "1"

    async def watch(self, path: str, **_: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        await anyio.sleep_forever()
        yield "", {}

    async def create(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        self._asked("POST", path, body)
        at = f"{path}/{body['metadata']['name']}"
        if at in self.objects:
            raise ApiError(409, "AlreadyExists", "", where=path)
        self.objects[at] = copy.deepcopy(body)
        self.objects[at]["metadata"].setdefault("uid", f"uid-{body['metadata']['name']}")
        return copy.deepcopy(self.objects[at])

    async def patch(self, path: str, body: Any, *, kind: str = "merge", **_: Any) -> dict[str, Any]:
        self._asked("PATCH", path, body)
        before = self._at(path)
        if kind == "merge":
            for name, value in body["metadata"]["annotations"].items():
                annotations = before["metadata"].setdefault("annotations", {})
                annotations.pop(name, None) if value is None else annotations.update({name: value})
            if not annotations:
                del before["metadata"]["annotations"]
            self._moved(before)
            return copy.deepcopy(before)
        if self.meanwhile:
            change, self.meanwhile = self.meanwhile, None
            change(self)
        item = copy.deepcopy(self._at(path))
        for op in body:
            _apply(item, op)
        for field in ("data", "binaryData"):
            if item.get(field) == {}:
                del item[field]
        if item["metadata"].get("labels") == {}:
            del item["metadata"]["labels"]
        pods = item.get("spec", {}).get("template", {}).get("metadata", {})
        # A custom resource keeps an empty mapping.
        if pods.get("annotations") == {} and "/argoproj.io/" not in path:
            del pods["annotations"]
        if self.webhook:
            self.webhook(item)
        if path.endswith("/scale"):
            self.objects[path.removesuffix("/scale")]["spec"]["replicas"] = item["spec"].get("replicas", 0)
            item = self._at(path)
        else:
            self.objects[path] = item
        self._moved(item)
        return copy.deepcopy(item)

    def _moved(self, item: dict[str, Any]) -> None:
        """Give an object that was written another version."""
        if "resourceVersion" in item["metadata"]:
            item["metadata"]["resourceVersion"] = str(int(item["metadata"]["resourceVersion"]) + 1)

    async def delete(self, path: str, **_: Any) -> dict[str, Any]:
        self._asked("DELETE", path, None)
        self._at(path)
        del self.objects[path]
        return {}

    def _failing(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    def _asked(self, method: str, path: str, body: Any) -> None:
        self.requests.append((method, path))
        self.bodies.append(copy.deepcopy(body))
        if error := self.refuses.get(method):
            raise error

    def _at(self, path: str) -> dict[str, Any]:
        if path.endswith("/scale"):
            item = self._at(path.removesuffix("/scale"))
            count = item["spec"].get("replicas", 1)
            return {"metadata": item["metadata"], "spec": {"replicas": count} if count else {}}
        if path not in self.objects:
            raise ApiError(404, "NotFound", "", where=path)
        found: dict[str, Any] = self.objects[path]
        return found


def _apply(item: dict[str, Any], op: dict[str, Any]) -> None:
    """Apply one operation of a JSON patch (RFC 6902) as the API server does."""
    above, _, last = op["path"].rpartition("/")
    key, holder, there = last.replace("~1", "/"), found_at(item, above), found_at(item, op["path"])
    if op["op"] == "test":
        if there != op["value"]:
            raise ApiError(422, "Invalid", INVALID)
        return
    if holder is None or (op["op"] in ("replace", "remove") and there is None):
        raise ApiError(422, "Invalid", INVALID)
    if isinstance(holder, list):
        place = len(holder) if key == "-" else int(key)
        if op["op"] == "add":
            holder.insert(place, op["value"])
        elif op["op"] == "remove":
            del holder[place]
        else:
            holder[place] = op["value"]
    elif op["op"] == "remove":
        del holder[key]
    else:
        holder[key] = op["value"]
