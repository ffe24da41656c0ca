"""Answer HTTP requests with a failure before they reach anybody, by Istio's `fault.abort` at a VirtualService's routes.

`status` is what callers get, `grpc_status` what callers of gRPC get (any other caller gets 200 and a text then).
Whoever routes the request answers it: the gateway, or the caller's own sidecar. That same proxy tries none of these
again, whatever the route's `retries` say, and no pod is ejected for them; a proxy or a client before it may. The target
is a VirtualService, or a Service that one leads to; `routes` names some of its routes. A route keeps its weights, so a
Rollout steers it meanwhile; narrowed by `header` or `path` the fault has a route of its own, whose weights stay as they
were when it began. The undo takes out this very fault, wherever it is by then, and nothing else. Felt when an answer of
the load has Envoy's flag FI, or three have the status that none had before (about a second; Istio hands a change on
within half of one); healed when the routes are without it and for a second no answer shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import http
from harness.faults.kind import Unfit
from harness.model.disturbance import Disturbance
from harness.model.fault import Target
from harness.model.history import Operation
from harness.model.parameter import Parameter, Type

STATUS = 503
# What Istio takes; OK is no failure.
GRPC = (
    *("CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)


def clash(target: Target, parameters: Mapping[str, Any]) -> tuple[str, Unfit] | None:
    """Find two statuses."""
    if parameters.get("grpc_status") and parameters.get("status") != STATUS:
        return "grpc_status", Unfit("'status' and 'grpc_status' say the same twice", "an answer has one of them")
    return http.clash(target, parameters)


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as Istio reads it."""
    grpc = parameters.get("grpc_status")
    status = {"grpcStatus": grpc} if grpc else {"httpStatus": parameters.get("status", STATUS)}
    return {"abort": {**status, "percentage": http.percentage(parameters)}}


def _failed(parameters: Mapping[str, Any], one: Operation) -> bool:
    # What a pod answered itself is no sign, and how a caller of gRPC sees its status nobody wrote down.
    own = parameters.get("grpc_status") is None and not one.served_by
    return own and one.status == parameters.get("status", STATUS)


FAULT = http.fault(
    "http_abort",
    summary="Answer HTTP requests with a failure where Istio routes them, a share of them or all.",
    effect=effect,
    signs=(
        http.flag("FI"),
        http.Sign("status", 3, _failed),
    ),
    clash=clash,
    parameters=(
        Parameter("status", Type.INTEGER, "What callers get.", default=STATUS, minimum=400, maximum=599),
        Parameter("grpc_status", Type.TEXT, "What callers of gRPC get instead, by its name.", choices=GRPC),
    ),
    disturbs=Disturbance.ABRUPT,
)
