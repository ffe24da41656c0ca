"""A VirtualService with routes, faults of them, and what others do to them meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.faults import FAULTS
from harness.model.plan import PlannedFault, Victim
from harness.targets import routes
from harness.targets.reach import Reach
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import planned

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
