"""Hold back a share of the packets for `delay`, so that those behind overtake them.

Felt when the agent has held a packet back: its own count is the evidence, for TCP puts them in order again. Healed
when the agent's rules are gone, the pod is Ready and it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import packets
from harness.model.parameter import Parameter, Type


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {"kind": "reorder", "share": parameters["share"], "delay_ms": parameters["delay"] * 1e3}


FAULT = packets.fault(
    "pod_reorder",
    summary="Let a share of the packets of pods be overtaken.",
    evidence="the agent has held packets back, by its own count",
    parameters=(
        packets.SHARE,
        Parameter("delay", Type.DURATION, "How long these are held.", required=True, minimum=0.001, maximum=60),
        *packets.MATCH,
    ),
    effect=effect,
)
