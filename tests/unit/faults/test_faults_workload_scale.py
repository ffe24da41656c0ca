"""A workload is scaled down and back: only by what was written down, and only while nobody else has set it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import ApiError, InjectionFailed
from harness.faults import FAULTS
from harness.targets.reach import Reach
from tests.unit.faults.recorded import elsewhere, injected
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import PODS, VICTIM, WEB, planned, web

pytestmark = pytest.mark.anyio
KIND = FAULTS["workload_scale"]
FAULT = planned("workload_scale")


async def test_what_was_there_is_written_down_before_anything_is_changed() -> None:
    server = Server(web(3))
    reach, fault = Reach(server), planned("workload_scale")  # type: ignore[arg-type]
    assert KIND.prepare
    (op,) = await KIND.prepare(fault, reach)
    assert op["patch"][-1] == {"op": "add", "path": "/spec/replicas", "value": 3}
    assert server.requests == []


@pytest.mark.parametrize(
    ("before", "keep", "kept"), [(3, 0.0, 0), (5, 0.4, 2), (3, 0.5, 1), (1, 0.99, 0), (100, 0.29, 29)]
)
async def test_it_is_scaled_to_the_share_that_is_kept_and_back(before: int, keep: float, kept: int) -> None:
    server = Server(web(before))
    reach = await injected(server, planned("workload_scale", keep=keep))
    assert server.replicas(WEB) == kept
    assert await elsewhere(server, reach, FAULT) == []
    assert server.replicas(WEB) == before


async def test_an_undo_that_comes_twice_or_before_the_effect_changes_nothing() -> None:
    server = Server(web(3))
    reach, fault = Reach(server), planned("workload_scale")  # type: ignore[arg-type]
    assert KIND.prepare
    reach.note(fault)["undo"] = await KIND.prepare(fault, reach)
    assert await elsewhere(server, reach, FAULT) == []
    assert server.requests == []
    await KIND.inject(fault, reach)
    for _ in range(2):
        assert await elsewhere(server, reach, FAULT) == []
    assert server.replicas(WEB) == 3


async def test_a_scale_that_is_rewritten_on_its_way_is_taken_back_and_refused() -> None:
    server = Server(web(3))
    server.webhook = lambda item: item["spec"].update(replicas=max(item["spec"].get("replicas", 0), 1))
    with pytest.raises(InjectionFailed, match="rewritten on its way"):
        await injected(server, FAULT)
    assert server.replicas(WEB) == 3


async def test_what_somebody_else_set_meanwhile_stays_and_is_told_of() -> None:
    server = Server(web(3))
    reach = await injected(server, FAULT)
    server.objects[WEB]["spec"]["replicas"] = 7
    (left,) = await elsewhere(server, reach, FAULT)
    assert server.replicas(WEB) == 7
    assert '{"replicas": 7}' in left


async def test_what_somebody_else_sets_while_the_undo_is_on_its_way_stays_too() -> None:
    server = Server(web(3))
    reach = await injected(server, FAULT)
    server.meanwhile = lambda server: server.objects[WEB]["spec"].update(replicas=2)
    assert len(await elsewhere(server, reach, FAULT)) == 1
    assert server.replicas(WEB) == 2


async def test_a_workload_that_is_gone_or_replaced_is_healed() -> None:
    server = Server(web(3))
    reach = await injected(server, FAULT)
    server.objects[WEB]["metadata"]["uid"] = "another"
    await elsewhere(server, reach, FAULT)
    assert server.replicas(WEB) == 0
    del server.objects[WEB]
    assert await elsewhere(server, reach, FAULT) == []


async def test_nothing_is_changed_when_it_was_scaled_between_the_record_and_the_effect() -> None:
    server = Server(web(3))
    reach, fault = Reach(server), planned("workload_scale")  # type: ignore[arg-type]
    assert KIND.prepare
    await KIND.prepare(fault, reach)
    server.meanwhile = lambda server: server.objects[WEB]["spec"].update(replicas=9)
    with pytest.raises(InjectionFailed, match="not what it was"):
        await KIND.inject(fault, reach)
    assert server.replicas(WEB) == 9


async def test_no_more_pods_go_than_the_plan_counted() -> None:
    server = Server(web(4))
    reach = Reach(server)  # type: ignore[arg-type]
    assert KIND.prepare
    with pytest.raises(InjectionFailed, match="4 pods would go, the plan counted 3"):
        await KIND.prepare(replace(planned("workload_scale"), most=3), reach)
    await KIND.prepare(replace(planned("workload_scale"), most=4), reach)


async def test_a_refusal_of_the_api_server_is_told_as_it_is() -> None:
    server = Server(web(3))
    reach = await injected(server, FAULT)
    server.refuses["PATCH"] = ApiError(403, "Forbidden", "no")
    with pytest.raises(ApiError, match="403"):
        await elsewhere(server, reach, FAULT)


async def test_it_is_felt_when_no_more_pods_are_there_than_were_left() -> None:
    server = Server(web(3))
    reach = await injected(server, planned("workload_scale", keep=0.4))
    for number in (0, 1):
        server.objects[f"{PODS}/web-uid-{number}"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert await KIND.felt(planned("workload_scale"), reach) == {"pods": 1, "before": 3}


async def test_it_is_healed_when_as_many_are_ready_as_before() -> None:
    server = Server(web(3))
    reach = await injected(server, FAULT)
    await elsewhere(server, reach, FAULT)
    assert await KIND.healed(planned("workload_scale"), reach) == {"owner": "Deployment/web", "ready": 3, "desired": 3}


def test_what_has_nothing_to_lose_is_unfit_and_what_goes_is_counted() -> None:
    assert KIND.unfit
    assert KIND.most
    scale = {"spec": {"replicas": 5}}
    assert KIND.unfit({"keep": 0.0}, {"spec": {}}, VICTIM)
    assert KIND.unfit({"keep": 0.4}, scale, VICTIM) is None
    gone = {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete", "whenDeleted": "Retain"}}
    found = KIND.unfit({"keep": 0.4}, {**scale, "of": {"spec": gone}}, VICTIM)
    assert found
    assert found.what == "Deployment/web would lose what its pods keep"
    assert KIND.most({"keep": 0.4}, scale, 5) == 3
    assert KIND.most({"keep": 0.0}, scale, 6) == 6


async def test_what_became_unfit_since_the_plan_is_refused_with_what_mends_it() -> None:
    server = Server(web(3, persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete"}))
    with pytest.raises(InjectionFailed, match="would lose what its pods keep") as refused:
        await injected(server, FAULT)
    assert refused.value.hint == "whenScaled: Retain"
