"""Drop whatever passes between the node, its pods included, and the named peers, in silence.

Nobody gets an error, as on a cable that is cut: senders wait. Peers are what the node's interfaces see: a Service is
its pods' addresses there. `direction: egress` or `ingress` cuts one way alone. What pods of the node send to each other
is not met, and neither is the way from and to the API server, whoever the peers are: the node stays Ready, its pods
stay in their Services, and the fault is undone whatever it does to everybody else; a node without any network is
`node_disconnect`. Felt when the agent has dropped a packet, by its own count: where none was tried the fault is not
felt. Healed when the agent's rules are gone, the node is Ready and the pods that were ready on it are. A node that
lacks one of the `interfaces`, or whose network keeps marks on packets as Calico's and Cilium's do, is refused by its
agent.
"""

from __future__ import annotations

from dataclasses import replace

from harness.faults import nodewide, packets, pod_partition
from harness.model.disturbance import Disturbance

FAULT = nodewide.fault(
    "node_partition",
    summary="Cut nodes and all pods on them off from some of their peers, in one direction or both.",
    evidence="the agent has dropped packets, by its own count",
    disturbs=(Disturbance.NETWORK, Disturbance.SERVING),
    parameters=(
        replace(
            packets.PEERS,
            required=True,
            summary="Whom the nodes are cut off from: networks, {namespace, selector} or {namespace, service}.",
        ),
        packets.DIRECTION,
        *nodewide.NARROWED,
    ),
    effect=pod_partition.effect,
)
