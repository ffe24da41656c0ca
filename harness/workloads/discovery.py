"""Ask the API server how it serves a kind: plurals are irregular, and custom resources are anybody's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import ApiError
from harness.workloads.once import Reader


@dataclass(frozen=True, slots=True)
class Resource:
    """How one kind is served: below which root, by which plural, in namespaces or not, and whether it can be scaled."""

    root: str
    plural: str
    namespaced: bool
    scalable: bool

    def path(self, namespace: str, name: str) -> str:
        """Return the API path of one object of this kind."""
        place = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"{self.root}{place}/{self.plural}/{name}"


class Discovery:
    """What one API server serves; asked once for each version of a group, and again for a kind that was not there."""

    def __init__(self, kube: Reader) -> None:
        self._kube = kube
        self._served: dict[str, Mapping[str, Resource]] = {}
        self._hidden: set[str] = set()

    async def resource(self, api: str, kind: str) -> Resource | None:
        """Find a kind by its apiVersion, or by the version its group prefers now; None where it is not served."""
        if kind not in self._served.get(api, {}):
            served = await self._ask(api)
            if kind not in served:
                # A version may be served still, for other kinds than this one.
                served = {**await self._ask(await self._preferred(api)), **served}
            self._served[api] = served
        return self._served[api].get(kind)

    def hidden(self, api: str) -> bool:
        """Say whether nobody may look what a group serves: any kind of it may be there."""
        return api.rpartition("/")[0] in self._hidden

    async def _ask(self, api: str) -> Mapping[str, Resource]:
        if not api:
            return {}
        root = f"/apis/{api}" if "/" in api else f"/api/{api}"
        items = (await self._read(root, api.rpartition("/")[0])).get("resources") or []
        scaled = {item["name"].removesuffix("/scale") for item in items if item["name"].endswith("/scale")}
        return {
            item["kind"]: Resource(root, item["name"], bool(item.get("namespaced")), item["name"] in scaled)
            for item in items
            if "/" not in item["name"]
        }

    async def _preferred(self, api: str) -> str:
        """Name the version that a group prefers: a reference may hold one that is served no more."""
        group, _, _ = api.rpartition("/")
        if not group:
            return ""
        found = (await self._read(f"/apis/{group}", group)).get("preferredVersion") or {}
        return str(found.get("groupVersion", ""))

    async def _read(self, path: str, group: str) -> Mapping[str, Any]:
        """Read what the API server says of a group; nothing where it has none, or does not tell us."""
        try:
            return await self._kube.get(path)
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            if error.status == 403:
                self._hidden.add(group)
            return {}
