"""Do a fault on this node, and undo it from what the ledger holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from harness.agent.resident import supervising
from harness.agent.resident.fault import Fault
from harness.agent.resident.ledger import Entry
from harness.agent.resident.packets import rules
from harness.agent.resident.processes import descriptors, freezer, pods, signals
from harness.agent.resident.processes.crashing import Crashing
from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import left
from harness.agent.resident.supervising import Supervised

WORKER_LEASE_SECONDS = 10.0  # below a run's own; an agent that a busy node keeps waiting renews late
LONGEST_SECONDS = 3600.0
MARKS = tuple(1 << bit for bit in range(28, 20, -1))
Facts = dict[str, Any]


def owed(fault: Fault) -> Entry:
    """Return what the ledger must hold to heal this fault without the process that made it.

    `found` is what is as the fault would make it already: that is somebody else's to undo.
    """
    chain = rules.chain(worker_name(fault)) if fault.op == "packets" else ""
    named = {"run": fault.run, "path": fault.path, "pod": fault.pod, "op": fault.op}
    struck = {name: str(fault.effect.get(name, "")) for name in ("container", "signal")}
    return {**named, "chain": chain, "worker": worker_name(fault), **struck, "found": _found(fault)}


def _found(fault: Fault) -> str:
    if fault.op == "freeze" and freezer.frozen(fault.pod):
        return "the pod is frozen already"
    if fault.op == "signal" and fault.effect.get("signal") == "STOP":
        stopped = signals.stopped(str(fault.effect.get("container", "")))
        return "the container's main process is stopped already" if stopped else ""
    return ""


def worker_name(fault: Fault) -> str:
    """Name a fault for its rules and for the processes that do it."""
    return f"{fault.run}/{fault.name}"[:200]


def packets(fault: Fault, mark: int, heard: Callable[[Facts], None]) -> Supervised:
    """Have a worker do a packet fault; raises Refused."""
    wanted = dict(fault.effect)
    del wanted["op"]
    order = {"seconds": LONGEST_SECONDS, **wanted, "fault": worker_name(fault), "mark": mark}
    handle = _network(fault.pod)
    if not fault.pod and not (wanted.get("match") or {}).get("interfaces"):
        os.close(handle)
        raise Refused("a packet fault of a node without its interfaces", "pods' own packets pass there, too")
    return Supervised({**order, "lease": WORKER_LEASE_SECONDS}, handle, rules.chain(order["fault"]), heard)


def resource(fault: Fault, heard: Callable[[Facts], None]) -> Supervised:
    """Have a worker use up a resource of a container; raises Refused."""
    wanted = {name: value for name, value in fault.effect.items() if name != "op"}
    order = {"seconds": LONGEST_SECONDS, **wanted, "fault": worker_name(fault), "pod": fault.pod}
    order["lease"] = WORKER_LEASE_SECONDS
    return Supervised(order, supervising.NOWHERE, "", heard, program="resources")


def crash(fault: Fault) -> Crashing:
    """End a container again and again; raises Refused."""
    wanted = {name: value for name, value in fault.effect.items() if name != "op"}
    return Crashing({"seconds": LONGEST_SECONDS, **wanted, "pod": fault.pod, "lease": WORKER_LEASE_SECONDS})


def limit(fault: Fault, note: Callable[[Entry], None]) -> Facts:
    """Let processes open no more files, once what they have is noted; raises Refused."""
    wanted = fault.effect
    container, children = str(wanted.get("container", "")), wanted.get("children") is True
    limits = descriptors.look(fault.pod, container, wanted.get("spare", 0), children=children)
    note({"limits": limits})
    return descriptors.lower(limits)


def undo(entry: Entry) -> None:
    """Put back what a fault did, whoever did it; done twice it is done. Raises Refused when that does not succeed."""
    if entry.get("found"):
        return
    if entry["op"] == "freeze":
        freezer.thaw(entry["pod"])
    if entry["op"] == "signal" and entry.get("signal") == "STOP":
        signals.go_on(entry["pod"], entry["container"])
    if entry["op"] == "descriptors":
        # Without limits it was cut before any was set.
        descriptors.give_back(entry["container"], entry.get("limits", []))
    if entry["op"] == "resource":
        left.end(entry["pod"], entry["worker"])
    if entry["op"] == "packets":
        _clear(entry["pod"], entry["chain"])


def _clear(pod: str, chain: str) -> None:
    try:
        handle = _network(pod)
    except Refused:
        return  # a pod that is gone took its namespace with it
    try:
        supervising.clear([handle], chain)
    finally:
        os.close(handle)


def sweep() -> None:
    """Remove all chains of ours in every network namespace of this node, while nobody is at work; raises Refused."""
    handles = [_network(""), *pods.networks()]
    try:
        supervising.clear(handles)
    finally:
        for handle in handles:
            os.close(handle)


def _network(pod: str) -> int:
    return pods.open_network(pod) if pod else os.open(pods.PROC / "1/ns/net", os.O_RDONLY | os.O_CLOEXEC)
