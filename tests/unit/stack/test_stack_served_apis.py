"""An API that a Service of the stack serves is announced when that is ready, and waited for."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from harness.errors import PreconditionFailed
from harness.stack import apply, ready, render
from tests.unit.stack.deployed import DEPLOYMENT, WEB, Cluster, up

SERVED = {
    "apiVersion": "apiregistration.k8s.io/v1",
    "kind": "APIService",
    "metadata": {"name": "v1.metrics.shop"},
    "spec": {"service": {"namespace": "prod", "name": "web"}},
}
PATH = apply.path(SERVED)


def said(status: str, message: str = "") -> dict[str, Any]:
    return {**SERVED, "status": {"conditions": [{"type": "Available", "status": status, "message": message}]}}


class Announced(Cluster):
    """A cluster whose API is answered after so many looks."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    async def get(self, path: str) -> dict[str, Any]:
        found = await super().get(path)
        if path == PATH:
            self.looks -= 1
            return said("True" if self.looks < 0 else "False", "404 of whoever answered")
        return found


def test_it_is_announced_once_the_workloads_are_ready(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    patch, wait = cluster.patch, ready.wait

    async def patched(path: str, body: Any, **more: Any) -> dict[str, Any]:
        order.extend([path] if path in (PATH, WEB) and not isinstance(body, list) else [])
        if path == PATH:
            body = {**body, **said("True")}
        return await patch(path, body, **more)

    async def waited(*given: Any) -> None:
        await wait(*given)
        order.append("ready")

    monkeypatch.setattr(cluster, "patch", patched)
    monkeypatch.setattr(ready, "wait", waited)
    monkeypatch.setattr(render, "objects", lambda *_: [SERVED, DEPLOYMENT])
    up("weak-no-pdb")
    assert order == [WEB, "ready", PATH]


def test_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "LOOK_SECONDS", 0)
    cluster = Announced(looks=2)
    cluster.objects[PATH] = SERVED
    anyio.run(ready.apis, cluster, [SERVED])
    assert cluster.looks == -1


def test_one_that_is_never_answered_is_told_with_what_the_api_server_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "ANSWER_SECONDS", 0)
    cluster = Announced(looks=9)
    cluster.objects[PATH] = SERVED
    with pytest.raises(PreconditionFailed, match=r"not served after 0 s: v1\.metrics\.shop") as failed:
        anyio.run(ready.apis, cluster, [SERVED])
    assert failed.value.why == "404 of whoever answered"


@pytest.mark.parametrize(("looks", "well"), [(0, True), (1, False)])
def test_a_stack_whose_api_is_not_answered_is_not_well(cluster: Cluster, looks: int, well: bool) -> None:
    announced = Announced(looks)
    announced.objects |= {**cluster.objects, PATH: SERVED}
    assert anyio.run(ready.well, announced, [DEPLOYMENT, SERVED]) is well


def test_one_that_somebody_removed_comes_back_after_the_workloads_that_serve_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch, ready_then = cluster.patch, list[bool]()

    async def patched(path: str, body: Any, **more: Any) -> dict[str, Any]:
        if path == PATH:
            ready_then.append(not cluster.slow)
            body = {**body, **said("True")}
        return await patch(path, body, **more)

    monkeypatch.setattr(cluster, "patch", patched)
    monkeypatch.setattr(render, "objects", lambda *_: [SERVED, DEPLOYMENT])
    up("weak-no-pdb")
    for gone in (PATH, WEB):
        del cluster.objects[gone]
    cluster.slow = True
    up("weak-no-pdb")
    assert (ready_then, PATH in cluster.objects) == ([True, True], True)
