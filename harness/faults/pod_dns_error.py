"""Have the pod's DNS queries fail with `code`, whatever the server says.

Over UDP only. Felt when the agent has met a query: its own count is the evidence, for the queries are the pod's own
and nobody else sees them. Where none is asked the fault is not felt. Healed when the agent's rules are gone, the
pod is Ready and it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import packets
from harness.model.parameter import Parameter, Type


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {"kind": "dns_error", "code": parameters.get("code", "NXDOMAIN"), "names": parameters.get("names") or []}


FAULT = packets.fault(
    "pod_dns_error",
    summary="Have the DNS queries of pods fail.",
    evidence="the agent has answered queries, by its own count",
    parameters=(
        Parameter("code", Type.TEXT, "The error.", default="NXDOMAIN", choices=("NXDOMAIN", "SERVFAIL", "REFUSED")),
        Parameter("names", Type.NAMES, "Only these names and those below them; left out means every name."),
        packets.SERVERS,
    ),
    effect=effect,
)
