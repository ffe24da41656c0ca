"""Turn one bit over in a share of the packets; their checksums stay as they were.

So does a bad wire: the receiver's kernel drops the packet and the sender sends it again; an application sees
changed data only where there is no checksum. Felt when the agent has corrupted a packet: its own count is the
evidence, for outside nothing but slowness shows. Healed when the agent's rules are gone, the pod is Ready and it
answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import packets


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {"kind": "corruption", "share": parameters["share"]}


FAULT = packets.fault(
    "pod_corruption",
    summary="Corrupt a share of the packets of pods.",
    evidence="the agent has corrupted packets, by its own count",
    parameters=(packets.SHARE, *packets.MATCH),
    effect=effect,
)
