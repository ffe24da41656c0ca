"""Hold the pod's DNS queries for `delay`.

Over UDP only: a delay of TCP port 53 is a `pod_latency`. Felt when the agent has met a query: its own count is the
evidence, for the queries are the pod's own and nobody else sees them. Where none is asked the fault is not felt.
Healed when the agent's rules are gone, the pod is Ready and it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import packets
from harness.model.parameter import Parameter, Type


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {"kind": "dns_delay", "delay_ms": parameters["delay"] * 1e3, "names": parameters.get("names") or []}


FAULT = packets.fault(
    "pod_dns_delay",
    summary="Delay the DNS queries of pods.",
    evidence="the agent has delayed queries, by its own count",
    parameters=(
        Parameter("delay", Type.DURATION, "How long each query is held.", required=True, minimum=0.001, maximum=60),
        Parameter("names", Type.NAMES, "Only these names and those below them; left out means every name."),
        packets.SERVERS,
    ),
    effect=effect,
)
