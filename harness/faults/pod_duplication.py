"""Have a share of the TCP and UDP packets arrive twice.

TCP drops the second one; over UDP the application sees both. Felt when the agent has duplicated a packet: its own
count is the evidence, for outside nothing shows. A node that filters strictly by reverse path cannot have it of
what the pod receives: the agent refuses that. Healed when the agent's rules are gone, the pod is Ready and it
answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import packets


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {"kind": "duplication", "share": parameters["share"]}


FAULT = packets.fault(
    "pod_duplication",
    summary="Duplicate a share of the packets of pods.",
    evidence="the agent has duplicated packets, by its own count",
    parameters=(packets.SHARE, *packets.MATCH),
    effect=effect,
)
