"""Whoever looks at a target is told that it was broken on purpose; a zone is told of by its nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.model.plan import Victim
from harness.resources import notice
from tests.unit.targets.fakes import NODE, FakeKube, planned

pytestmark = pytest.mark.anyio


class Told(FakeKube):
    """A cluster that keeps the Events it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    async def create(self, path: str, body: Any) -> dict[str, Any]:
        self.events.append(body)
        return dict(body)


@pytest.mark.parametrize("kind", ["node_disconnect", "zone_outage"])
async def test_a_node_tells_that_it_was_broken_on_purpose_alone_or_with_its_zone(kind: str) -> None:
    kube = Told()
    await notice.post(kube, planned(kind), "run", "ChaosInjected")  # type: ignore[arg-type]
    (event,) = kube.events
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": NODE.name, "uid": NODE.uid}
    assert event["message"] == f"{kind} of run run, on purpose"


async def test_the_pods_that_go_with_a_zone_are_not_told_of_one_by_one() -> None:
    kube, fault = Told(), planned("zone_outage")
    more = (replace(NODE, name="worker2", uid="uid-2"), Victim("pod", "web", "uid-w", "shop", "worker"))
    await notice.post(kube, replace(fault, takes=(*fault.takes, *more)), "run", "ChaosHealed")  # type: ignore[arg-type]
    assert [event["involvedObject"]["name"] for event in kube.events] == ["worker", "worker2"]
