"""Lose a share of the packets that pass the node's interfaces, those of its pods as well, in bursts by `correlation`.

Losses follow a two-state chain whose share is exactly `share` at any correlation. What pods of the node send to each
other is not met, and neither is the way from and to the API server: the node stays Ready, and the fault is undone
whatever it does to everybody else. Felt when the agent has lost a packet, by its own count. Healed when the agent's
rules are gone, the node is Ready and the pods that were ready on it are. A node that lacks one of the `interfaces`, or
whose network keeps marks on packets as Calico's and Cilium's do, is refused by its agent.
"""

from __future__ import annotations

from harness.faults import nodewide, packets, pod_loss

FAULT = nodewide.fault(
    "node_loss",
    summary="Lose a share of the packets of nodes and of all pods on them.",
    evidence="the agent has lost packets, by its own count",
    parameters=(packets.SHARE, packets.CORRELATION, *nodewide.MATCH),
    effect=pod_loss.effect,
)
