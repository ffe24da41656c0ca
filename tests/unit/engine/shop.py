"""A namespace of ready pods that are replaced, as plans and runs of several faults meet it."""

from __future__ import annotations

from typing import Any

import anyio

from tests.unit.engine.doubles import Kube


class Shop:
    """A namespace with so many ready pods; one that was deleted is replaced."""

    context = "kind-here"

    def __init__(self, count: int) -> None:
        self.made = count
        self.names = [f"web-{number}" for number in range(count)]

    def replace(self, uid: str) -> None:
        self.names.remove(uid.removeprefix("uid-"))
        self.names.append(f"web-{self.made}")
        self.made += 1

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        assert path == "/api/v1/namespaces/shop/pods"
        return [self.pod(name) for name in self.names]

    async def get(self, path: str, **_: Any) -> dict[str, Any]:
        return self.pod(path.removeprefix("/api/v1/namespaces/shop/pods/"))

    def pod(self, name: str) -> dict[str, Any]:
        number = int(name.partition("-")[2])
        metadata = {"name": name, "uid": f"uid-{name}", "namespace": "shop", "creationTimestamp": f"{number:04}"}
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        spec = {"nodeName": "worker", "containers": [{"name": "web"}]}
        return {"metadata": metadata, "spec": spec, "status": status}


class Cluster(Shop, Kube):
    """A namespace in which something is broken and written down; others have their turn before it answers."""

    def __init__(self, count: int) -> None:
        Shop.__init__(self, count)
        Kube.__init__(self)

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        for _turn in range(5):
            await anyio.lowlevel.checkpoint()
        return await super().list(path)
