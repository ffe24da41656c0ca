"""Requests are failed or held where Istio routes them, and whatever others make of the routes meanwhile stays."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.engine.planning import plan, rights
from harness.errors import ApiError, InjectionFailed, ObservationFailed, UsageError
from harness.faults import FAULTS
from harness.faults.kind import as_recorded
from harness.model.experiment import Experiment
from harness.model.history import Operation
from harness.model.plan import Plan, PlannedFault, Victim
from harness.resources import notice
from harness.targets import routes
from harness.targets.reach import Reach
from tests.unit.faults.documents import stated
from tests.unit.faults.recorded import elsewhere
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import planned

pytestmark = pytest.mark.anyio
CART = routes.place("shop", "cart")
VICTIM = Victim("route", "cart", "uid-v", "shop", owner="VirtualService/cart", path=CART)
ABORT, DELAY = FAULTS["http_abort"], FAULTS["http_delay"]
ROLLOUT = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/cart"
FAILS = {"abort": {"httpStatus": 503, "percentage": {"value": 25}}}


def route(name: str = "", host: str = "cart", **more: Any) -> dict[str, Any]:
    """Make a route to a stable and a canary subset."""
    weights = zip(("stable", "canary"), (90, 10), strict=True)
    to = [{"destination": {"host": host, "subset": subset}, "weight": weight} for subset, weight in weights]
    return ({"name": name} if name else {}) | {"route": to, "retries": {"attempts": 3}, **more}


def shop(*http: dict[str, Any], name: str = "cart", beside: dict[str, Any] | None = None) -> Server:
    """Make a VirtualService of these routes, by default of two with a name and one without."""
    found = http or (route("read", match=[{"uri": {"prefix": "/api/read"}}]), route("primary"), route(host="other"))
    metadata = {"name": name, "namespace": "shop", "uid": "uid-v", "resourceVersion": "7"}
    item = {"kind": "VirtualService", "metadata": metadata, "spec": {"hosts": ["shop.example"], "http": [*found]}}
    return Server({routes.place("shop", name): item, **(beside or {})})


def http(server: Server) -> list[dict[str, Any]]:
    """Return the routes as they are now."""
    found: list[dict[str, Any]] = server.objects[CART]["spec"]["http"]
    return found


def fault(server: Server, kind: str = "http_abort", victim: Victim = VICTIM, **given: Any) -> PlannedFault:
    """Plan one as the plan does, with the routes that are there."""
    effect = {"status": 503} if kind == "http_abort" else {"delay": 0.3}
    effect = {} if "grpc_status" in given else effect
    told = {"share": 0.25, "callers": "others", **effect, **given}
    names = [name for _, name in routes.meant(server.objects[victim.path], victim, told)]
    takes = [Victim("route", name, f"{victim.uid}/{name}", victim.namespace) for name in names]
    return replace(planned(kind, victim, **told), takes=tuple(takes))


@pytest.fixture(autouse=True)
def in_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.targets.objects.PAUSE_SECONDS", 0.0)


async def begun(server: Server, one: PlannedFault, **more: Any) -> Reach:
    """Take a fault as far as its effect."""
    reach, kind = Reach(server, **more), FAULTS[one.kind]  # type: ignore[arg-type]
    assert kind.prepare
    reach.note(one)["undo"] = await kind.prepare(one, reach)
    await kind.inject(one, reach)
    return reach


def somebody(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Server], None]:
    """Make what somebody else does to the routes, which gives the object another version."""

    def act(server: Server) -> None:
        change(http(server))
        metadata = server.objects[CART]["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)

    return act


def steers(found: list[dict[str, Any]]) -> None:
    """Set the weights of the route `primary`, as a Rollout does."""
    for one in found:
        if one.get("name") == "primary":
            one["route"][0]["weight"], one["route"][1]["weight"] = 40, 60


# By the field of the route, and by a route besides.
WAYS: list[dict[str, Any]] = [{}, {"header": "x-user=eve"}, {"path": "/api"}]


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


# -- evidence ---------------------------------------------------------------------------------------------------------


class Load:
    """What a load was answered: a list for each time that it is asked, the last one for ever; None of a dead load."""

    def __init__(self, *answered: list[Operation] | None) -> None:
        self.answered = [*answered]

    def __call__(self, seconds: float) -> list[Operation] | None:
        return self.answered.pop(0) if len(self.answered) > 1 else self.answered[0]


def answers(count: int = 1, status: int = 200, seconds: float = 0.01, **more: Any) -> list[Operation]:
    """Make answers of the load."""
    return [Operation(1.0, 1.0, 1.0 + seconds, status, **more)] * count


@pytest.mark.parametrize(
    ("kind", "answered", "evidence"),
    [
        ("http_abort", answers(status=503, response_flags="FI"), {"answers": 1, "by": "response flag FI"}),
        ("http_abort", answers(status=503, response_flags="DI,FI"), {"answers": 1, "by": "response flag FI"}),
        ("http_abort", answers(3, 503), {"answers": 3, "by": "status"}),
        ("http_delay", answers(status=200, response_flags="DI"), {"answers": 1, "by": "response flag DI"}),
        ("http_delay", answers(3, seconds=0.31), {"answers": 3, "by": "time"}),
    ],
)
async def test_it_is_felt_by_what_the_load_is_answered(kind: str, answered: Any, evidence: Any) -> None:
    server = shop()
    one = fault(server, kind, callers="load")
    reach = await begun(server, one, answers=Load(answers(9), answers(9), answers(9) + answered))
    assert await FAULTS[kind].felt(one, reach) == evidence


@pytest.mark.parametrize(
    ("kind", "answered", "before"),
    [
        ("http_abort", answers(2, 503), answers()),
        ("http_abort", answers(9, 503, served_by="cart-0"), answers()),
        ("http_abort", answers(9, 500), answers()),
        ("http_abort", answers(9, 503), answers(1, 503)),
        ("http_delay", answers(9, seconds=0.29), answers()),
        ("http_delay", answers(9, seconds=0.31), answers(1, seconds=0.4)),
        ("http_delay", answers(9, 0, seconds=9.0), answers()),
    ],
)
async def test_what_may_be_something_else_is_no_evidence(kind: str, answered: Any, before: Any) -> None:
    server = shop()
    one = fault(server, kind, callers="load")
    reach = await begun(server, one, answers=Load(before, answered, answered, None))
    with pytest.raises(ObservationFailed, match="load died"):
        await FAULTS[kind].felt(one, reach)


async def test_it_is_healed_when_for_a_while_no_answer_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    server, after = shop(), answers(2)
    shows = answers(status=503, response_flags="FI")
    one = fault(server, callers="load")
    reach = await begun(server, one, answers=Load(answers(), shows, shows, [], after))
    monkeypatch.setattr("harness.faults.http.QUIET_SECONDS", 0.0)
    assert await ABORT.felt(one, reach)
    await as_recorded(one, reach)
    assert await ABORT.healed(one, reach) == {"routes": "as they were", "answers": "2 without it"}


async def test_a_load_that_died_keeps_nobody_from_seeing_the_routes_healed() -> None:
    server = shop()
    one = fault(server, callers="load")
    reach = await begun(server, one, answers=Load(answers(), None))
    await as_recorded(one, reach)
    assert await ABORT.healed(one, reach) == {"routes": "as they were"}


async def test_where_others_call_the_api_server_alone_can_tell() -> None:
    server = shop()
    one = fault(server, "http_delay", routes=["primary"])
    reach = await begun(server, one)
    assert await DELAY.felt(one, reach) == {"routes": 1, "by": "the API server alone: nobody here calls"}


async def test_a_run_without_a_load_is_refused_unless_others_call() -> None:
    server = shop()
    with pytest.raises(InjectionFailed, match="no load") as refused:
        await begun(server, fault(server, callers="load"))
    assert "callers: others" in refused.value.hint


# -- documents and plans ----------------------------------------------------------------------------------------------


def experiment(kind: str = "http_abort", more: str = "", route: str = "VirtualService/cart") -> Experiment:
    told = {"http_abort": "status: 503, callers: others", "http_delay": "delay: 300ms, callers: others"}[kind]
    target = f"{{namespace: shop, route: {route}}}"
    return stated(kind, f"{told}{more}", target=target, radius="namespaces: [shop]")


async def resolved(server: Server, **given: Any) -> tuple[Experiment, Plan]:
    one = experiment(**given)
    return one, await plan.resolve(server, one, run="r", seed=1, alone=True)  # type: ignore[arg-type]


async def test_the_plan_names_the_object_its_routes_and_the_share() -> None:
    one, found = await resolved(shop(), more=", share: 25%, path: /api, header: k=v")
    text = plan.text(one, found)
    assert "http_abort     shop/cart  uid-v" in text
    assert "25 % of the requests with k=v below /api" in text
    named = [line.split()[2] for line in text.splitlines() if "with it" in line]
    assert named == ["shop/read", "shop/primary", "shop/#3"]


async def test_a_service_means_the_routes_that_lead_to_it() -> None:
    server = shop(route("a"), route("b", "other"), route("c", "cart.shop.svc.cluster.local"), route("d", "cart.else"))
    _, found = await resolved(server, route="Service/cart")
    assert [one.name for one in found.faults[0].takes] == ["a", "c"]
    # Whoever looks at the VirtualService sees an Event of what is done to it.
    assert notice._what(found.faults[0].victim) == {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}
    await begun(server, found.faults[0])
    assert ["fault" in each for each in http(server)] == [True, False, True, False]


async def test_routes_that_answer_by_themselves_are_not_meant() -> None:
    server = shop({"name": "away", "redirect": {"uri": "/"}}, route("primary"))
    _, found = await resolved(server)
    assert [one.name for one in found.faults[0].takes] == ["primary"]


async def test_routes_that_take_no_request_of_that_path_are_not_meant() -> None:
    _, found = await resolved(shop(), more=", path: /else")
    assert [one.name for one in found.faults[0].takes] == ["primary", "#3"]


@pytest.mark.parametrize(
    ("server", "given", "what"),
    [
        (Server({}), {}, "no route matches"),
        (Server({}), {"route": "Service/cart"}, "no route matches"),
        (shop(route(host="other")), {"route": "Service/cart"}, "no route matches"),
        (Server(shop().objects | shop(name="cart-2").objects), {"route": "Service/cart"}, "several .*: cart, cart-2"),
        (shop(), {"more": ", routes: [primry]"}, "has no HTTP route 'primry'"),
        (
            shop(),
            {"more": ", routes: [read]", "route": "Service/other"},
            "no HTTP route 'read' that leads there",
        ),
        (shop({"name": "away", "redirect": {"uri": "/"}}), {}, "has no HTTP route for this"),
        (shop({"name": "away", "redirect": {}}), {"more": ", routes: [away]"}, "answers by itself"),
        (shop(route("primary", fault=FAILS)), {}, "has a fault already"),
        (shop(route("a", match=[{"uri": {"exact": "/a"}}])), {"more": ", path: /b"}, "has no HTTP route for this"),
        (
            shop(route("a", match=[{"uri": {"exact": "/a"}}])),
            {"more": ", path: /b, routes: [a]"},
            "takes no such request",
        ),
        (shop(route("a", match=[{"uri": {"regex": "/a"}}])), {"more": ", path: /b"}, "cannot be narrowed"),
    ],
)
async def test_what_cannot_be_is_refused_when_it_is_planned(server: Server, given: Any, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        await resolved(server, **given)


async def test_a_route_that_is_not_there_is_named_with_its_line_and_those_that_are() -> None:
    with pytest.raises(UsageError) as refused:
        await resolved(shop(), more=", routes: [primry]")
    assert refused.value.where == "x.yaml:8: shop/cart"
    assert refused.value.why == "its routes: read, primary, #3"


async def test_where_istio_routes_nothing_there_is_a_hint() -> None:
    with pytest.raises(UsageError) as refused:
        await resolved(Server({}))
    assert "kubectl get virtualservices" in refused.value.hint


@pytest.mark.parametrize(
    ("kind", "arguments", "line", "said"),
    [
        ("http_abort", "status: 503, share: 101%", 9, "outside 0 to 1"),
        ("http_abort", "status: 503, share: 0%", 9, "below 1e-06"),
        ("http_abort", "status: 200", 9, "below 400"),
        ("http_abort", "status: 500, grpc_status: UNAVAILABLE", 9, "say the same twice"),
        ("http_abort", "grpc_status: OK", 9, "is none of CANCELLED"),
        ("http_abort", "status: 503, header: eve", 9, "is no header"),
        ("http_abort", "status: 503, path: api", 9, "is no path"),
        ("http_abort", "status: 503", 7, "needs 'load'"),
        ("http_delay", "delay: -1s", 9, "is not a duration"),
        ("http_delay", "delay: 100us", 9, "is not a duration"),
        ("http_delay", "delay: 0s", 9, "below 0.001"),
        ("http_delay", "share: 10%", 7, "needs 'delay'"),
    ],
)
def test_what_a_document_cannot_ask_for_is_refused(kind: str, arguments: str, line: int, said: str) -> None:
    others, target = "" if "load" in said else ", callers: others", "{namespace: shop, route: Service/cart}"
    with pytest.raises(UsageError, match=said) as refused:
        stated(kind, f"{arguments}{others}", target=target, radius="namespaces: [shop]")
    assert refused.value.where == f"x.yaml:{line}"


def test_a_target_is_a_virtual_service_or_a_service_by_its_name() -> None:
    with pytest.raises(UsageError, match="is not VirtualService/name or Service/name"):
        experiment(route="Deployment/cart")


@pytest.mark.parametrize(
    ("target", "verbs"), [("VirtualService/cart", ["get", "patch"]), ("Service/cart", ["get", "list", "patch"])]
)
def test_no_more_is_asked_for_than_what_the_target_needs(target: str, verbs: list[str]) -> None:
    (role,) = rights.roles_for([experiment(route=target)])
    assert [one["verbs"] for one in role["rules"] if "virtualservices" in one["resources"]] == [verbs]
