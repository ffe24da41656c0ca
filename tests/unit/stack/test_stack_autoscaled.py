"""How many replicas there are is an autoscaler's business where there is one, and otherwise the manifest's."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from harness.errors import ApiError
from harness.stack import apply, ready
from tests.unit.stack.deployed import DEPLOYMENT, WEB

HPA = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web", "namespace": "prod"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 2,
        "maxReplicas": 8,
    },
}


class Live:
    """An API server that has a Deployment with so many replicas, or none, and remembers what is applied."""

    def __init__(self, replicas: int | None) -> None:
        self.replicas = replicas
        self.applied: dict[str, Any] = {}

    async def get(self, path: str) -> dict[str, Any]:
        if self.replicas is None:
            raise ApiError(404, "NotFound", path)
        return {"spec": {"replicas": self.replicas}}

    async def patch(self, path: str, body: Any, **_: Any) -> Any:
        self.applied[path] = body
        return body


@pytest.mark.parametrize(("there", "applied"), [(None, 3), (7, 7), (2, 2), (1, 3), (9, 3)])
def test_what_an_autoscaler_has_set_within_its_bounds_stays(there: int | None, applied: int) -> None:
    live = Live(there)
    anyio.run(apply.apply, live, [DEPLOYMENT, HPA])
    assert live.applied[WEB]["spec"]["replicas"] == applied
    assert DEPLOYMENT["spec"]["replicas"] == 3  # type: ignore[index]


def test_without_an_autoscaler_the_manifest_has_the_say() -> None:
    live = Live(7)
    anyio.run(apply.apply, live, [DEPLOYMENT])
    assert live.applied[WEB]["spec"]["replicas"] == 3


def test_what_an_autoscaler_scales_is_waited_for_as_it_wants_itself() -> None:
    assert ready.replicas([DEPLOYMENT, HPA]) == {WEB.rpartition("/")[0]: {"web": None}}
    status = {"observedGeneration": 1} | dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 7)
    live = {"metadata": {"generation": 1}, "spec": {"replicas": 7}, "status": status}
    assert ready.rolled_out(live, None)
    assert not ready.rolled_out({**live, "spec": {"replicas": 8}}, None)
    assert not ready.rolled_out(live, 5)
