"""Reset TCP connections of the pod at both ends at their first data; the handshake passes.

Felt when the agent has reset a connection and a request that the API server hands on to the pod is cut off; where
`peers`, `spare` or `ports` leave that request out, the agent's count is the evidence. A node that filters strictly
by reverse path cannot have it: the agent refuses that. Healed when the agent's rules are gone, the pod is Ready and
it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import answers, packets
from harness.model.disturbance import Disturbance
from harness.model.plan import PlannedFault
from harness.targets.reach import Facts


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {"kind": "reset"}


def cut(fault: PlannedFault, asked: answers.Asked, usual: float) -> Facts | None:
    """Find that the last request got no answer."""
    return {"request": "cut off"} if asked and asked[-1] is None else None


FAULT = packets.fault(
    "pod_reset",
    summary="Reset the TCP connections of pods.",
    evidence="a request to the pod is cut off, and the agent has reset connections",
    disturbs=(Disturbance.NETWORK, Disturbance.SERVING, Disturbance.ABRUPT),
    parameters=(packets.PEERS, packets.SPARE, packets.PORTS, packets.OWN_PORTS),
    effect=effect,
    clash=None,
    shows=cut,
    protocol="tcp",
)
