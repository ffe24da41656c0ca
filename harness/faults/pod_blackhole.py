"""Drop whatever the pod sends or receives, in silence.

The kubelet's probes do not reach it either, unless `spare` names the node's address: then it stays Ready and in its
Service. Felt when the agent has dropped a packet and a request that the API server hands on to the pod stays
without an answer for 1 s; where `spare`, `ports` or `protocol` leave that request out, the agent's count is the
evidence. Healed when the agent's rules are gone, the pod is Ready and it answers; one whose readiness probe failed
takes as long as that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import answers, packets
from harness.model.disturbance import Disturbance


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {"kind": "blackhole"}


FAULT = packets.fault(
    "pod_blackhole",
    summary="Cut pods off from everyone.",
    evidence="a request to the pod stays without an answer, and the agent has dropped packets",
    disturbs=(Disturbance.NETWORK, Disturbance.SERVING),
    parameters=(packets.DIRECTION, *packets.NARROWED),
    effect=effect,
    shows=answers.silent,
)
