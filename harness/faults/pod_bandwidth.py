"""Let no more than `rate` pass in each direction.

What would wait longer than `queue` is dropped, as a full line does. Felt when the agent has shaped a packet: its
own count is the evidence, for nobody outside knows how much would have passed. Healed when the agent's rules are
gone, the pod is Ready and it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import packets
from harness.model.parameter import Parameter, Type


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    queue = parameters.get("queue", 0.2)
    return {"kind": "bandwidth", "bits_per_second": parameters["rate"], "queue_ms": queue * 1e3}


FAULT = packets.fault(
    "pod_bandwidth",
    summary="Narrow the bandwidth of pods.",
    evidence="the agent has shaped packets, by its own count",
    parameters=(
        Parameter("rate", Type.BANDWIDTH, "How much passes.", required=True, minimum=1e3, maximum=1e11),
        Parameter("queue", Type.DURATION, "How long a packet waits at most.", default=0.2, minimum=0.001, maximum=60),
        *packets.MATCH,
    ),
    effect=effect,
)
