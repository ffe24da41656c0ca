"""Lose a share of the packets between the pod and its peers, in bursts by `correlation`.

Losses follow a two-state chain whose share is exactly `share` at any correlation. Felt when the agent has lost a
packet: its own count is the evidence, for TCP sends again what is lost, and from outside that is only slow. Where
nothing passes nothing is lost, and the fault is not felt. Healed when the agent's rules are gone, the pod is Ready
and it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import packets


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    return {"kind": "loss", "share": parameters["share"], "correlation": parameters.get("correlation", 0.0)}


FAULT = packets.fault(
    "pod_loss",
    summary="Lose a share of the packets of pods.",
    evidence="the agent has lost packets, by its own count",
    parameters=(packets.SHARE, packets.CORRELATION, *packets.MATCH),
    effect=effect,
)
