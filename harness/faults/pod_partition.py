"""Drop whatever passes between the pod and the named peers, in silence.

Nobody gets an error, as on a cable that is cut: senders wait. `direction: egress` or `ingress` cuts one way alone.
Felt when the agent has dropped a packet and, where the API server is among the peers, a request that it hands on to
the pod stays without an answer for 1 s. Where the peers are others, which is usual, the agent's count of dropped
packets is the evidence: nobody else sees what does not arrive. Where no packet was tried the fault is not felt.
Healed when the agent's rules are gone, the pod is Ready and it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.faults import answers, packets
from harness.model.disturbance import Disturbance


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {"kind": "partition"}


FAULT = packets.fault(
    "pod_partition",
    summary="Cut pods off from some of their peers, in one direction or both.",
    evidence="the agent has dropped packets, or a request to the pod stays without an answer",
    disturbs=(Disturbance.NETWORK, Disturbance.SERVING),
    parameters=(
        replace(
            packets.PEERS,
            required=True,
            summary="Whom the pods are cut off from: networks, {namespace, selector} or {namespace, service}.",
        ),
        packets.DIRECTION,
        *packets.NARROWED,
    ),
    effect=effect,
    shows=answers.silent,
)
