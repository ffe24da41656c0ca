"""Answer the pod's DNS queries with these `addresses`, whatever the server says.

Over UDP only. A wrong answer may be kept for a second after the fault. Felt when the agent has met a query: its own
count is the evidence, for the queries are the pod's own and nobody else sees them. Where none is asked the fault is
not felt. Healed when the agent's rules are gone, the pod is Ready and it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import packets
from harness.model.parameter import Parameter, Type


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {
        "kind": "dns_wrong",
        "addresses": parameters["addresses"],
        "names": parameters.get("names") or [],
    }


FAULT = packets.fault(
    "pod_dns_wrong",
    summary="Answer the DNS queries of pods wrongly.",
    evidence="the agent has answered queries, by its own count",
    parameters=(
        Parameter("addresses", Type.ADDRESSES, "The addresses that are answered.", required=True),
        Parameter("names", Type.NAMES, "Only these names and those below them; left out means every name."),
        packets.SERVERS,
    ),
    effect=effect,
)
