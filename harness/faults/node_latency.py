"""Hold each packet that passes the node's interfaces for `delay`, those of its pods as well.

Each direction waits by itself: with `direction: both` a round trip takes twice the delay. In a node what is sent waits
inside of the kernel, and TCP sends in small steps meanwhile; what is received is delayed as by a longer line, so
`direction: ingress` is the faithful one. What pods of the node send to each other is not met, and neither is the way
from and to the API server: the node stays Ready, and the fault is undone whatever it does to everybody else. Felt when
the agent has delayed a packet, by its own count; packets that passed without it make the fault not felt. Healed when
the agent's rules are gone, the node is Ready and the pods that were ready on it are. A node that lacks one of the
`interfaces`, or whose network keeps marks on packets as Calico's and Cilium's do, is refused by its agent.
"""

from __future__ import annotations

from harness.faults import nodewide, pod_latency

FAULT = nodewide.fault(
    "node_latency",
    summary="Delay the packets of nodes and of all pods on them.",
    evidence="the agent has delayed packets, by its own count",
    parameters=(*pod_latency.SHAPE, *nodewide.MATCH),
    effect=pod_latency.effect,
    clash=pod_latency.clash,
)
