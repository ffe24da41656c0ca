"""A fault as its resource tells the agent: whose run, which target, which effect."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from harness.agent.resident.refused import Refused

GROUP = "chaos.harness.dev"
OPS = ("packets", "resource", "freeze", "signal", "descriptors", "crash")
SIGNALS = ("KILL", "TERM", "INT", "QUIT", "STOP", "CONT", "HUP", "USR1", "USR2")
# Why a fault ended: nothing of it was cut short.
TARGET_GONE = "its target is gone"
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,63}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the node hand; `pod` is the UID of its target as its kubelet has it, empty for the node itself.

    `key` is the resource's own UID, so that one of the same name that comes later is another. `effect` says what to do:
    {"op": "packets", "effect": .., "match": .., "seed": .., "seconds": ..},
    {"op": "resource", "effect": .., "container": id, "seconds": ..}, {"op": "freeze"},
    {"op": "descriptors", "container": id, "spare": .., "children": ..},
    {"op": "crash", "container": id, "name": .., "seconds": ..} or
    {"op": "signal", "container": id, "signal": name}, with the `pod` where its kubelet has another UID than its target.
    """

    key: str
    path: str
    run: str
    name: str
    pod: str
    effect: dict[str, Any]

    @property
    def op(self) -> str:
        """Say which kind of effect it is."""
        return str(self.effect["op"])


def read(item: dict[str, Any]) -> Fault | None:
    """Read a Fault or NodeFault; None for one of another hand. Raises Refused for one that makes no sense here."""
    metadata, spec = item["metadata"], item["spec"]
    if spec.get("hand") != "node":
        return None
    run, target, effect = spec.get("run", ""), spec.get("target") or {}, (spec.get("parameters") or {}).get("node")
    if not _PLAIN.fullmatch(run):
        raise Refused(f"no run {run!r}", "a label value")
    if not isinstance(effect, dict) or effect.get("op") not in OPS:
        raise Refused("no effect that the agent knows", ", ".join(OPS))
    namespace = metadata.get("namespace")
    # A Fault acts in its own namespace alone: its right to be there was checked by the API server.
    if namespace and (target.get("kind") != "pod" or target.get("namespace", namespace) != namespace):
        raise Refused("a fault of another namespace", f"{target.get('namespace')} is not {namespace}")
    pod = str(effect.get("pod") or target.get("uid", "")) if namespace else ""
    if effect["op"] != "packets" and not pod:
        raise Refused(f"{effect['op']} of a node", "it is for pods")
    return Fault(metadata["uid"], path(item), run, metadata["name"], pod, effect)


def path(item: dict[str, Any]) -> str:
    """Return the API path of a Fault or NodeFault."""
    metadata = item["metadata"]
    place = f"/namespaces/{metadata['namespace']}/faults" if metadata.get("namespace") else "/nodefaults"
    return f"/apis/{GROUP}/v1alpha1{place}/{metadata['name']}"
