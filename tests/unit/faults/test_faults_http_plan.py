"""Which routes a document means, what of it is planned, and what is refused by its line."""

from __future__ import annotations

from typing import Any

import pytest

from harness.engine.planning import plan, rights
from harness.errors import UsageError
from harness.model.experiment import Experiment
from harness.model.plan import Plan
from harness.resources import notice
from tests.unit.faults.documents import stated
from tests.unit.faults.routed import (
    FAILS,
    begun,
    http,
    route,
    shop,
)
from tests.unit.faults.server import Server

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def in_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.targets.objects.PAUSE_SECONDS", 0.0)


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
