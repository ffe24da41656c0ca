"""Requests are failed or held where Istio routes them, and whatever others make of the routes meanwhile stays."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from harness.errors import ApiError, InjectionFailed
from harness.targets import routes
from harness.targets.reach import Reach
from tests.unit.faults.recorded import elsewhere
from tests.unit.faults.routed import (
    ABORT,
    CART,
    FAILS,
    ROLLOUT,
    WAYS,
    begun,
    fault,
    http,
    route,
    shop,
    somebody,
    steers,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def in_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.targets.objects.PAUSE_SECONDS", 0.0)


# -- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["http_abort", "http_delay"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_fault_is_put_into_every_route_and_taken_out_exactly(kind: str, way: dict[str, Any]) -> None:
    server = shop()
    before = copy.deepcopy(http(server))
    one = fault(server, kind, **way)
    reach = await begun(server, one)
    assert sum("fault" in route for route in http(server)) == 3
    assert len(http(server)) == (6 if way else 3)
    for _ in range(2):
        assert await elsewhere(server, reach, one) == []
    assert http(server) == before


async def test_a_route_keeps_all_that_it_has_besides() -> None:
    server = shop()
    await begun(server, fault(server, routes=["primary"]))
    assert http(server) == [http(shop())[0], {**http(shop())[1], "fault": FAILS}, http(shop())[2]]


async def test_a_narrowed_fault_has_a_route_right_before_the_one_that_it_is_of() -> None:
    server = shop()
    one = fault(server, routes=["primary"], header="X-User=eve")
    await begun(server, one)
    first, own, *rest = http(server)
    match = [{"headers": {"x-user": {"exact": "eve"}}}]
    assert own == {**route("primary"), "name": "chaos-run-1", "match": match, "fault": FAILS}
    assert [first, *rest] == http(shop())


@pytest.mark.parametrize(
    ("match", "given", "narrowed"),
    [
        (None, {"path": "/a"}, [{"uri": {"prefix": "/a"}}]),
        ([{"uri": {"prefix": "/a"}}], {"path": "/a/b"}, [{"uri": {"prefix": "/a/b"}}]),
        ([{"uri": {"prefix": "/a/b"}}], {"path": "/a"}, [{"uri": {"prefix": "/a/b"}}]),
        ([{"uri": {"exact": "/a/b"}}], {"path": "/a"}, [{"uri": {"exact": "/a/b"}}]),
        ([{"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}], {"path": "/b/c"}, [{"uri": {"prefix": "/b/c"}}]),
        ([{"uri": {"exact": "/a"}}], {"path": "/a/b"}, []),
        ([{"port": 80}], {"header": "k=v=w"}, [{"port": 80, "headers": {"k": {"exact": "v=w"}}}]),
        ([{"headers": {"k": {"exact": "v"}}}], {"header": "K=v"}, [{"headers": {"k": {"exact": "v"}}}]),
        (None, {"path": "/a", "header": "k=v"}, [{"headers": {"k": {"exact": "v"}}, "uri": {"prefix": "/a"}}]),
    ],
)
def test_a_match_is_narrowed_and_never_widened(match: Any, given: dict[str, Any], narrowed: Any) -> None:
    assert routes.narrowed({"match": match} if match else {}, given) == narrowed


@pytest.mark.parametrize(
    ("match", "given"),
    [
        ({"uri": {"regex": "/a.*"}}, {"path": "/a"}),
        ({"uri": {"prefix": "/a"}, "ignoreUriCase": True}, {"path": "/a/b"}),
        ({"headers": {"K": {"regex": ".*"}}}, {"header": "k=v"}),
    ],
)
def test_what_istio_has_no_words_for_is_refused(match: Any, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="it matches"):
        routes.narrowed({"match": [match]}, given)


@pytest.mark.parametrize(
    ("kind", "given", "written"),
    [
        ("http_abort", {"share": 1.0}, {"abort": {"httpStatus": 503, "percentage": {"value": 100}}}),
        ("http_abort", {"share": 0.07}, {"abort": {"httpStatus": 503, "percentage": {"value": 7}}}),
        ("http_abort", {"share": 1 / 3}, {"abort": {"httpStatus": 503, "percentage": {"value": 33.3333}}}),
        (
            "http_abort",
            {"grpc_status": "UNAVAILABLE"},
            {"abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 25}}},
        ),
        ("http_delay", {"delay": 0.25}, {"delay": {"fixedDelay": "0.250s", "percentage": {"value": 25}}}),
        ("http_delay", {"delay": 2.0}, {"delay": {"fixedDelay": "2s", "percentage": {"value": 25}}}),
    ],
)
async def test_it_is_written_as_istios_own_clients_write_it(kind: str, given: dict[str, Any], written: Any) -> None:
    server = shop(route("primary"))
    await begun(server, fault(server, kind, **given))
    assert http(server)[0]["fault"] == written


# -- what others do meanwhile -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_weights_that_a_rollout_sets_meanwhile_survive_the_undo(way: dict[str, Any]) -> None:
    server, wanted = shop(), shop()
    one = fault(server, **way)
    reach = await begun(server, one)
    for each in (server, wanted):
        somebody(steers)(each)
    assert await elsewhere(server, reach, one) == []
    assert http(server) == http(wanted)
    assert await ABORT.healed(one, reach) == {"routes": "without it, else as somebody has them since"}


@pytest.mark.parametrize("way", WAYS)
async def test_weights_that_are_set_right_before_the_write_stay(way: dict[str, Any]) -> None:
    server, wanted = shop(), shop()
    one = fault(server, **way)
    server.meanwhile = somebody(steers)
    reach = await begun(server, one)
    somebody(steers)(wanted)
    assert sum("fault" in route for route in http(server)) == 3
    assert all(each["route"][1]["weight"] == 60 for each in http(server) if each.get("name") == "primary")
    server.meanwhile = somebody(lambda found: found.insert(0, route("late")))
    http(wanted).insert(0, route("late"))
    assert await elsewhere(server, reach, one) == []
    assert http(server) == http(wanted)


@pytest.mark.parametrize("way", WAYS)
async def test_a_route_that_somebody_puts_in_front_stays_and_the_fault_goes(way: dict[str, Any]) -> None:
    server, theirs = shop(), route("managed", match=[{"headers": {"x-canary": {"exact": "1"}}}])
    one = fault(server, **way)
    reach = await begun(server, one)
    somebody(lambda found: found.insert(0, theirs))(server)
    assert await elsewhere(server, reach, one) == []
    assert http(server) == [theirs, *http(shop())]


async def test_a_route_that_somebody_renames_loses_the_fault_all_the_same() -> None:
    server = shop()
    one = fault(server, routes=["primary"])
    reach = await begun(server, one)
    somebody(lambda found: found[1].update(name="main"))(server)
    assert await elsewhere(server, reach, one) == []
    assert not any("fault" in each for each in http(server))


async def test_a_fault_that_somebody_else_set_in_its_place_stays_and_is_told_of() -> None:
    server = shop()
    one = fault(server, routes=["primary"])
    reach = await begun(server, one)
    theirs = {"abort": {"httpStatus": 500, "percentage": {"value": 100}}}
    somebody(lambda found: found[1].update(fault=theirs))(server)
    (left,) = await elsewhere(server, reach, one)
    assert "another fault" in left
    assert http(server)[1]["fault"] == theirs


async def test_a_fault_that_somebody_took_out_is_undone() -> None:
    server = shop()
    one = fault(server, routes=["primary"])
    reach = await begun(server, one)
    somebody(lambda found: found[1].pop("fault"))(server)
    asked = len(server.requests)
    assert await elsewhere(server, reach, one) == []
    assert (len(server.requests), http(server)) == (asked, http(shop()))


@pytest.mark.parametrize("way", WAYS)
async def test_an_object_that_is_gone_is_healed(way: dict[str, Any]) -> None:
    server = shop()
    one = fault(server, **way)
    reach = await begun(server, one)
    await server.delete(CART)
    assert await elsewhere(server, reach, one) == []
    assert await ABORT.healed(one, reach) == {"routes": "gone"}


@pytest.mark.parametrize("way", WAYS)
async def test_a_run_that_dies_between_the_guard_and_the_write_leaves_nothing_to_write(way: dict[str, Any]) -> None:
    server = shop()
    one, reach = fault(server, **way), Reach(server, guard=killed)  # type: ignore[arg-type]
    assert ABORT.prepare
    reach.note(one)["undo"] = await ABORT.prepare(one, reach)
    with pytest.raises(SystemExit):
        await ABORT.inject(one, reach)
    assert await elsewhere(server, reach, one) == []
    assert (server.requests, http(server)) == ([], http(shop()))


async def killed() -> None:
    raise SystemExit


@pytest.mark.parametrize("later", [0, 1])
async def test_of_two_faults_of_one_object_each_takes_out_its_own(later: int) -> None:
    server = shop()
    both = [fault(server, routes=["read"]), replace(fault(server, routes=["primary"]), id="run-2")]
    reaches = [await begun(server, one) for one in both]
    assert await elsewhere(server, reaches[1 - later], both[1 - later]) == []
    assert ["fault" in each for each in http(server)] == [later == 0, later == 1, False]
    for _ in range(2):
        assert await elsewhere(server, reaches[later], both[later]) == []
        assert await elsewhere(server, reaches[1 - later], both[1 - later]) == []
    assert http(server) == http(shop())


async def test_two_narrowed_faults_may_be_of_one_route() -> None:
    server, meant = shop(), ["primary"]
    both = [fault(server, routes=meant, path="/a"), replace(fault(server, routes=meant, header="k=v"), id="run-2")]
    reaches = [await begun(server, one) for one in both]
    assert [each.get("name") for each in http(server)] == ["read", "chaos-run-1", "chaos-run-2", "primary", None]
    for one, reach in zip(both, reaches, strict=True):
        assert await elsewhere(server, reach, one) == []
    assert http(server) == http(shop())


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_a_route_with_a_fault_already_is_refused(way: dict[str, Any]) -> None:
    server = shop(route("primary", fault=FAILS))
    with pytest.raises(InjectionFailed, match="has a fault already"):
        await begun(server, fault(server, **way))
    assert server.requests == []


async def test_routes_that_the_plan_does_not_name_are_not_touched() -> None:
    server = shop()
    one = fault(server)
    http(server).append(route("new"))
    with pytest.raises(InjectionFailed, match="not those of the plan"):
        await begun(server, one)
    assert server.requests == []


async def test_another_object_of_that_name_is_not_touched() -> None:
    server = shop()
    one = fault(server)
    server.objects[CART]["metadata"]["uid"] = "another"
    with pytest.raises(InjectionFailed, match="replaced between"):
        await begun(server, one)


async def test_an_object_that_somebody_writes_all_the_time_is_no_steady_state() -> None:
    server = shop()
    server.refuses["PATCH"] = ApiError(409, "Conflict", "")
    with pytest.raises(InjectionFailed, match="does not take the change"):
        await begun(server, fault(server))


@pytest.mark.parametrize("way", WAYS)
async def test_what_a_webhook_rewrites_on_its_way_is_taken_back(way: dict[str, Any]) -> None:
    server = shop()

    def rewrite(item: dict[str, Any]) -> None:
        for each in item["spec"]["http"]:
            if "fault" in each:
                each["fault"]["abort"]["httpStatus"] = 500
                each["name"] = each.get("name", "").removeprefix("chaos-") or "x"

    server.webhook = rewrite
    with pytest.raises(InjectionFailed, match="rewritten on its way"):
        await begun(server, fault(server, routes=["primary"], **way))
    assert [each["route"] for each in http(server)] == [each["route"] for each in http(shop())]
    assert not any("fault" in each for each in http(server))


async def test_a_rollout_that_names_no_route_is_not_held_up_by_another_route() -> None:
    steered: dict[str, Any] = {"trafficRouting": {"istio": {"virtualService": {"name": "cart"}}}}
    item = {"metadata": {"name": "cart-rollout"}, "spec": {"strategy": {"canary": steered}}}
    server = shop(route("primary"), beside={ROLLOUT: item})
    with pytest.raises(InjectionFailed, match="held up") as refused:
        await begun(server, fault(server, header="k=v"))
    assert "cart-rollout" in refused.value.why
    await begun(server, fault(server))
    steered["trafficRouting"]["istio"]["virtualService"]["routes"] = ["primary"]
    server = shop(route("primary"), beside={ROLLOUT: item})
    await begun(server, fault(server, header="k=v"))
