"""Ask the API server how it serves a kind: plurals are irregular, and custom resources are anybody's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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

    async def resource(self, api: str, kind: str) -> Resource | None:
        """Find a kind by its apiVersion, or by the version its group prefers now; None where it is not served."""
        if kind not in self._served.get(api, {}):
            served = await self._ask(api)
            if kind not in served:
                # A version may be served still, for other kinds than this one.
                served = {**await self._ask(await self._preferred(api)), **served}
            self._served[api] = served
        return self._served[api].get(kind)

    async def _ask(self, api: str) -> Mapping[str, Resource]:
        if not api:
            return {}
        root = f"/apis/{api}" if "/" in api else f"/api/{api}"
        try:
            items = (await self._kube.get(root)).get("resources") or []
        except ApiError as error:
            if error.status in (403, 404):
                return {}
            raise
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
        try:
            found = (await self._kube.get(f"/apis/{group}")).get("preferredVersion") or {}
        except ApiError as error:
            if error.status in (403, 404):
                return ""
            raise
        return str(found.get("groupVersion", ""))
