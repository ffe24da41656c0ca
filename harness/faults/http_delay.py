"""Hold HTTP requests back for `delay` before they reach anybody, by Istio's `fault.delay` at a VirtualService's routes.

Whoever routes the request holds it: the gateway, or the caller's own sidecar. What the route says of a try's and a
request's time begins only then, so a caller waits for both; no try is spent on it. The target is a VirtualService, or a
Service that one leads to; `routes` names some of its routes. A route keeps its weights, so a Rollout steers it
meanwhile; narrowed by `header` or `path` the fault has a route of its own, whose weights stay as they were when it
began. The undo takes out this very fault, wherever it is by then, and nothing else. Felt when an answer of the load has
Envoy's flag DI, or three took the delay that none took before (the delay and about a second; Istio hands a change on
within half of one); healed when the routes are without it and for a second no answer shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import http
from harness.model.disturbance import Disturbance
from harness.model.history import Operation
from harness.model.parameter import Parameter, Type


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as Istio reads it, and as its own clients write it: in whole milliseconds, with three digits or none."""
    whole, thousandths = divmod(round(parameters["delay"] * 1000), 1000)
    fixed = f"{whole}.{thousandths:03d}s" if thousandths else f"{whole}s"
    return {"delay": {"fixedDelay": fixed, "percentage": http.percentage(parameters)}}


def held(parameters: Mapping[str, Any], one: Operation) -> bool:
    """Find that an answer took as long as it was to be held."""
    return one.status > 0 and one.finished - one.sent >= float(parameters["delay"])


FAULT = http.fault(
    "http_delay",
    summary="Hold HTTP requests back where Istio routes them, a share of them or all.",
    effect=effect,
    signs=(http.flag("DI"), http.Sign("time", 3, held)),
    parameters=(
        Parameter("delay", Type.DURATION, "How long each is held.", required=True, minimum=0.001, maximum=3600),
    ),
    disturbs=Disturbance.NETWORK,
)
