"""Hold the interfaces that a fault of a node names against those that are there.

A packet that was served bears the fault's bit in its mark until it has left. Calico and Cilium keep bits of their own
there, and would take it for another one: a node with an interface of theirs is no place for such a fault.
"""

from __future__ import annotations

import socket

from harness.agent.resident.refused import Refused

MARKING = {"cali": "Calico", "cilium_": "Cilium"}
SHOWN = 8


def require(wanted: tuple[str, ...]) -> None:
    """Return where each of them is there; with none named nothing is asked. Raises Refused."""
    if not wanted:
        return
    there = sorted(name for _, name in socket.if_nameindex() if name != "lo")
    theirs = sorted({whose for name in there for begins, whose in MARKING.items() if name.startswith(begins)})
    if theirs:
        why = "the fault would mark packets where it keeps marks of its own"
        raise Refused(f"the node's network is {' and '.join(theirs)}'s", why)
    if lacking := [name for name in wanted if name not in there]:
        raise Refused(f"there is no interface {', '.join(lacking)}", f"there are {', '.join(there[:SHOWN])}")
