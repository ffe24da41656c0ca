"""A plan: the named targets of one run, hashed before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.model.fault import Hand


@dataclass(frozen=True, slots=True)
class Victim:
    """One resolved target; `container` names what a fault acts on inside a pod.

    `path` is where the API server keeps it, empty for pods and nodes, whose places are known. A zone has no UID of its
    own: it has those of its nodes, with commas in between.
    """

    kind: str
    name: str
    uid: str
    namespace: str = ""
    node: str = ""
    zone: str = ""
    owner: str = ""
    container: str = ""
    path: str = ""

    def __str__(self) -> str:
        if self.kind == "zone":
            return f"zone {self.name}"
        return f"{self.namespace}/{self.name}" if self.namespace and self.kind != "namespace" else self.name

    @property
    def uids(self) -> frozenset[str]:
        """Name all that this target is: two targets that may be broken together have none in common."""
        return frozenset(self.uid.split(","))

    @property
    def shown(self) -> str:
        """Name the target with what is hit inside of it, as plan and report show it."""
        return str(self) + inside(self.container)

    @property
    def api(self) -> str:
        """Name the version of the API that `path` leads to, as Kubernetes writes it."""
        return "/".join(self.path.split("/")[2:4]) if self.path.startswith("/apis/") else "v1"


def inside(containers: str) -> str:
    """Say after a pod's name which of its containers are meant; nothing for the pod as such."""
    several = "s" * (", " in containers)
    return f" (container{several} {containers})" if containers else ""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault against one target.

    `takes` are the nodes that a zone is made of, and the pods that may go with the target, `most` how many of these
    (None: all). `instant` and `disturbs` are as its kind says, so that whoever has the plan can judge without knowing
    the kind.
    """

    id: str
    kind: str
    activity: str
    hand: Hand
    victim: Victim
    parameters: Mapping[str, Any] = field(default_factory=dict)
    takes: tuple[Victim, ...] = ()
    most: int | None = None
    instant: bool = False
    disturbs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will touch, the two hashes that bind it, and the namespaces `around` that must be whole before it.

    `shares` says, for each target by share, how the share became a count; `left_out` are the steps that the seed did
    not draw.
    """

    run: str
    seed: int
    context: str
    faults: tuple[PlannedFault, ...]
    intent: str
    resolved: str
    rules: tuple[Mapping[str, Any], ...] = ()
    around: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @classmethod
    def nothing(cls, run: str, seed: int, context: str) -> Plan:
        """Return the plan of a run that has picked no target yet."""
        return cls(run, seed, context, (), intent="", resolved="")
