"""Whoever has a fault's resource undoes it by what is written there, and says what somebody else has changed."""

from __future__ import annotations

from typing import Any

import pytest

from harness.engine.undoing import healing, undo
from harness.errors import ApiError, ClusterUnreachable
from harness.faults import FAULTS
from harness.faults.workload_release import RELEASE
from harness.hands.api.hand import HAND
from harness.hands.healer import Nobody
from harness.hands.kind import Place
from harness.model.plan import PlannedFault
from harness.resources import resource
from harness.targets.reach import Reach
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import PODS, WEB, planned, web
from tests.unit.targets.fakes import CLUSTER

pytestmark = pytest.mark.anyio
FAULT = planned("workload_scale", keep=0.0)


class Remembering(Nobody):
    """A healer that keeps what it is told."""

    heals = own = True

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Any] = {}
        self.healed: list[str] = []

    async def register(self, fault_id: str, undo_ops: Any) -> None:
        self.kept[fault_id] = undo_ops

    async def heal(self, fault_id: str) -> None:
        self.healed.append(fault_id)


async def broken(server: Server, fault: PlannedFault = FAULT) -> dict[str, Any]:
    """Do a fault, scale down if none is named, and return the resource, as a run that died leaves it."""
    reach, kind = Reach(server), FAULTS[fault.kind]  # type: ignore[arg-type]
    assert kind.prepare
    ops = reach.note(fault)["undo"] = await kind.prepare(fault, reach)
    made = await server.create(resource.collection(fault), resource.body(fault, "run", ops))
    await kind.inject(fault, reach)
    return made


async def undone(item: dict[str, Any], server: Server, healer: Any = None) -> tuple[list[str], list[str]]:
    """Undo it as `harness undo` does; return what was said and what failed."""
    said: list[str] = []
    failed: list[str] = []
    await undo._one(item, Reach(server, healer or Nobody()), said.append, failed)  # type: ignore[arg-type]
    return said, failed


async def test_it_is_undone_from_its_resource_alone_and_struck_off() -> None:
    server = Server(web(3))
    assert await undone(await broken(server), server) == (["healed workload_scale on shop/web"], [])
    assert server.replicas(WEB) == 3
    assert not [path for path in server.objects if path.startswith(resource.collection(FAULT))]


async def test_what_somebody_else_has_set_is_named() -> None:
    server = Server(web(3))
    item = await broken(server)
    server.objects[WEB]["spec"]["replicas"] = 8
    said, failed = await undone(item, server)
    assert said == [
        f'healed workload_scale on shop/web; {WEB}/scale: somebody else set /spec to {{"replicas": 8}},'
        + (" so it was left as it is")
    ]
    assert failed == []


@pytest.mark.parametrize("strange", [{"undo": [{"op": "restore"}]}, {"target": {"kind": "pod", "moon": "full"}}])
async def test_what_an_undo_of_another_version_breaks_is_told_and_cuts_no_other(strange: dict[str, Any]) -> None:
    server = Server(web(3))
    item = await broken(server)
    _, failed = await undone({**item, "spec": {**item["spec"], **strange}}, server)
    assert len(failed) == 1
    assert "Error" in failed[0]


async def test_a_release_whose_pods_are_still_there_is_not_told_as_gone() -> None:
    server = Server(web(3))
    item = await broken(server, planned("workload_release"))
    metadata = {"name": "web-new", "annotations": {RELEASE: "release-run-1"}}
    server.objects[f"{PODS}/web-new"] = {"metadata": metadata, "spec": {}}
    (said,), failed = await undone(item, server)
    assert said.startswith("healed workload_release on shop/web; its way back is not over")
    assert said.endswith("web-new")
    assert failed == []


async def test_where_the_api_server_does_not_answer_the_healer_is_asked_if_there_is_one() -> None:
    server, healer = Server(web(3)), Remembering()
    item = await broken(server)
    server.refuses["PATCH"] = ApiError(500, "InternalError", "no")
    _, failed = await undone(item, server, healer)
    assert (healer.healed, failed) == (["run-1"], [])


async def test_what_an_api_server_that_never_answers_said_last_is_told(monkeypatch) -> None:
    monkeypatch.setattr(undo, "HEAL_SECONDS", 0.05)
    monkeypatch.setattr(healing, "AGAIN_SECONDS", 0.0)
    server = Server(web(3))
    item = await broken(server)
    server.refuses["PATCH"] = ApiError(500, "InternalError", "no")
    _, failed = await undone(item, server)
    assert "500" in failed[0]
    assert f"{resource.collection(FAULT)}/run-1" in server.objects


async def test_a_refusal_of_the_api_server_is_told_at_once() -> None:
    server = Server(web(3))
    item = await broken(server)
    server.refuses["PATCH"] = ApiError(403, "Forbidden", "no")
    _, failed = await undone(item, server)
    assert "403" in failed[0]


@pytest.mark.parametrize("hiccup", [ClusterUnreachable("away"), ApiError(503, "ServiceUnavailable", "")], ids=str)
async def test_without_a_healer_an_api_server_that_has_no_answer_once_is_asked_again(hiccup, monkeypatch) -> None:
    monkeypatch.setattr(healing, "AGAIN_SECONDS", 0.0)
    server = Server(web(3))
    item = await broken(server)
    server.failures = [hiccup]
    assert await undone(item, server) == (["healed workload_scale on shop/web"], [])
    assert server.replicas(WEB) == 3


async def test_the_keeper_is_told_the_undo_in_words_that_it_knows() -> None:
    server, healer = Server(web(3)), Remembering()
    item = await broken(server)
    hand = HAND.take(Place(server, CLUSTER), healer)  # type: ignore[arg-type]
    await hand.register("run-1", item["spec"]["undo"])
    (op,) = healer.kept["run-1"]
    assert (op["op"], op["container"], op["argv"][0]) == ("exec", "c-control-plane", "sh")
