"""A namespace of the report's own: what is put there, how it is entered, and how it goes again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

from bench.dying import workload
from bench.dying.place import Place
from bench.dying.workload import until
from bench.stack_report import asking
from harness.cluster import paths
from harness.cluster.kube import Items, Kube
from harness.errors import ApiError
from harness.stack import apply
from harness.workloads.pod import is_ready

NAMESPACE, EDGE = "claude-ecosystem-prod", "istio-system"
MANAGER, PREFIX = "stack-report", "stack-report"
KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
# On a node that was changed, so that a later command finds what a killed one left.
CHANGED = "stack-report/changed"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
# Kubernetes puts it on a node that is cordoned, and takes it away a moment after that is over.
CORDON = "node.kubernetes.io/unschedulable"
READY_SECONDS = 90.0
CONFLICT = 409

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """A namespace on the cluster, an image with Python that each node has, and a client of the gateway."""

    place: Place
    namespace: str
    image: str
    gateway: httpx.AsyncClient

    @property
    def kube(self) -> Kube:
        """Return the client of the cluster."""
        return self.place.kube

    async def put(self, *items: Object) -> None:
        """Make objects, or change them; nothing in them is unknown to the API server."""
        for item in items:
            item["metadata"].setdefault("namespace", self.namespace)
            await self.kube.patch(apply.path(item), item, kind="apply", fieldManager=MANAGER, fieldValidation="Strict")

    async def pods(self, labels: str | None = None) -> Items:
        """List the pods here that stay."""
        found = await self.kube.list(paths.pods(self.namespace), labels=labels)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    async def ready(self, count: int, labels: str | None = None, seconds: float = READY_SECONDS) -> Items:
        """Wait until so many pods are here, all of them Ready, and return them."""
        found: Items = []

        async def so() -> bool:
            found[:] = await self.pods(labels)
            return len(found) == count and all(map(is_ready, found))

        await until(so, seconds, f"{count} ready pods {labels or ''} in {self.namespace}")
        return found

    async def gone(self, *names: str) -> None:
        """Take pods away at once."""
        for name in names:
            with contextlib.suppress(ApiError):
                await self.kube.delete(paths.pods(self.namespace, name), grace=0)

    async def inside(self, pod: str, script: str, *words: str, namespace: str = "", container: str = "") -> str:
        """Run Python inside a pod and return what it printed; raises PreconditionFailed."""
        which = ("-c", container) if container else ()
        where = ("exec", "-n", namespace or self.namespace, pod, *which, "--", "python3", "-c", script, *words)
        return (await self.place.docker("exec", self.place.cluster.control_plane, *KUBECTL, *where)).strip()


@contextlib.asynccontextmanager
async def made(place: Place, name: str, labels: Mapping[str, str] | None = None) -> AsyncIterator[Site]:
    """Have a namespace for as long as the block lasts; with it goes all that is in it."""
    name = f"{PREFIX}-{name}"
    metadata = {"name": name, "labels": {workload.MARK: "true", **(labels or {})}}
    image = await workload.image(place.kube)
    try:
        async with asking.through_gateway() as client:
            await place.kube.create(
                "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
            )
            # Pods are refused until their namespace's account exists.
            account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
            await until(lambda: place.kube.get(account), READY_SECONDS, f"the account of {name}")
            yield Site(place, name, image, client)
    finally:
        with anyio.CancelScope(shield=True):
            await workload.emptied(place.kube, name)


async def mended(place: Place) -> None:
    """Take back what a killed report left: namespaces, and changes of nodes; wait until the former are gone."""
    await workload.forgotten(place.kube, "")

    async def none() -> bool:
        found = await place.kube.list("/api/v1/namespaces", labels=workload.MARK)
        return not found

    await until(none, READY_SECONDS, "the end of an earlier report's namespaces")
    for node in await place.kube.list(paths.nodes()):
        if CHANGED in (node["metadata"].get("annotations") or {}):
            await _as_before(place.kube, node["metadata"]["name"])


@contextlib.asynccontextmanager
async def cordoned(site: Site, node: str) -> AsyncIterator[None]:
    """Have no new pod come to a node for as long as the block lasts."""
    async with _changed(site.kube, node, None):
        yield


@contextlib.asynccontextmanager
async def tainted(site: Site, node: str, key: str, value: str) -> AsyncIterator[None]:
    """Have no new pod come to a node that does not tolerate it, for as long as the block lasts."""
    async with _changed(site.kube, node, {"key": key, "value": value, "effect": "NoSchedule"}):
        yield


@contextlib.asynccontextmanager
async def _changed(kube: Kube, node: str, taint: Object | None) -> AsyncIterator[None]:
    def change(found: Object) -> None:
        found["metadata"].setdefault("annotations", {})[CHANGED] = taint["key"] if taint else ""
        if taint:
            found["spec"].setdefault("taints", []).append(taint)
        else:
            found["spec"]["unschedulable"] = True

    try:
        await _write(kube, node, change)
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await _as_before(kube, node)


async def _as_before(kube: Kube, node: str) -> None:
    """Take back what was changed of a node, which is written on it."""

    def change(found: Object) -> None:
        key = (found["metadata"].get("annotations") or {}).pop(CHANGED, None)
        if key:
            found["spec"]["taints"] = [one for one in found["spec"].get("taints", ()) if one["key"] != key]
        elif key == "":
            found["spec"].pop("unschedulable", None)

    await _write(kube, node, change)


async def _write(kube: Kube, node: str, change: Callable[[Object], None]) -> None:
    """Change a node as it is at this moment: its kubelet writes to it, too."""
    while True:
        found = await kube.get(paths.nodes(node))
        change(found)
        try:
            await kube.replace(paths.nodes(node), found)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
        else:
            return


async def workers(kube: Kube) -> Items:
    """List the nodes that pods come to: no control plane, nothing that keeps pods away."""
    return [
        node
        for node in await kube.list(paths.nodes())
        if CONTROL_PLANE not in node["metadata"].get("labels", {})
        and not node["spec"].get("unschedulable")
        and all(one["key"] == CORDON for one in node["spec"].get("taints", ()))
    ]


class Once:
    """Something that is done for the first row that asks for it, and told to the others."""

    def __init__(self, do: Callable[[], Any]) -> None:
        self._do, self._lock = do, anyio.Lock()
        self._done: list[tuple[Any, Exception | None]] = []

    async def __call__(self) -> Any:
        """Return what came of it; raises again what it raised."""
        async with self._lock:
            if not self._done:
                try:
                    self._done.append((await self._do(), None))
                except Exception as error:
                    self._done.append((None, error))
        found, failure = self._done[0]
        if failure is not None:
            raise failure
        return found


def names(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of objects."""
    return [str(item["metadata"]["name"]) for item in items]
