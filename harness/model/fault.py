"""What a fault asks for and what it is aimed at."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.model.share import Share

# What heals a fault without the process that made it, one operation after the other.
Undo = list[dict[str, Any]]


class Hand(enum.StrEnum):
    """Who does a fault and undoes it (design: one fault, one hand)."""

    API = "api"
    NODE = "node"
    HOST = "host"


class Phase(enum.StrEnum):
    """Where a fault is in its life, as its resource tells; once it is healed there is no resource any more."""

    INJECTED = "Injected"
    FELT = "Felt"


@dataclass(frozen=True, slots=True)
class Rule:
    """How a step of another driver picks its `kind` of target, where ours would go by owner, zone and ordinal.

    Candidates are those whose name matches `pattern` (pods) or is `name` (nodes). Of these `every` one is taken, or
    `share` per cent, rounded up, or the target's count where so many exist: the first in `order`, or by the seed.
    """

    kind: str
    pattern: str = ""
    name: str = ""
    order: str = "alphabetic"
    share: int = 0
    every: bool = False
    shuffled: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """What a pod must be besides its labels, as chaoskube has it.

    `annotations` is written like a label selector; `kinds` are those of a pod's own controllers, one with `!` is left
    out. Names are regular expressions that match anywhere; `minimum_age` is in seconds.
    """

    annotations: str = ""
    kinds: tuple[str, ...] = ()
    included: str = ""
    excluded: str = ""
    minimum_age: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """A rule that picks pods, nodes, zones or workloads; their names are resolved by the plan, never here.

    It says how many by `pods`, by `nodes`, by `zones`, by `workloads`, or by a `share` of those that match;
    `namespaces` are several in the place of one. What is not counted is named: one `config` or one `route`, as
    Kind/name, one `component` of the control plane, or the `namespace` itself; `of` says which of these is meant.
    """

    namespace: str = ""
    selector: str = ""
    pods: int = 0
    nodes: int = 0
    at_once: int = 1
    container: str = ""
    hosting: str = ""
    workloads: int = 0
    zones: int = 0
    config: str = ""
    component: str = ""
    route: str = ""
    of: str = ""
    share: Share | None = None
    rule: Rule | None = None
    namespaces: tuple[str, ...] = ()
    filter: Filter | None = None

    @property
    def within(self) -> tuple[str, ...]:
        """Name the namespaces whose pods this rule picks; none where it picks nodes."""
        return (self.namespace,) if self.namespace else self.namespaces

    @property
    def kind(self) -> str:
        """Say what this rule picks, in the singular."""
        if self.rule:
            return self.rule.kind
        if self.share:
            return self.share.of
        counts = {"node": self.nodes, "zone": self.zones, "workload": self.workloads}
        return self.of or next((kind for kind, count in counts.items() if count), "pod")

    @property
    def stated(self) -> tuple[str, ...]:
        """Name the namespaces that this rule states; one that picks nodes may state none."""
        hosted = self.hosting.partition("/")[0]
        return self.within or ((hosted,) if hosted else ())

    @property
    def least(self) -> int:
        """Return how many this rule takes at the least: a share takes one or more."""
        return self.pods or self.nodes or self.zones or self.workloads or int(self.share is not None or bool(self.of))


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault of the method, as the document states it.

    It lasts `duration` seconds and is healed then; None leaves it until the method is over. It is done `times` times,
    the next one `every` so many seconds, or when the last is healed if that is later. One that is `late` has its
    targets picked when its turn comes, not by the plan. `place` is the file and the line of its target.
    """

    kind: str
    activity: str
    target: Target
    parameters: Mapping[str, Any] = field(default_factory=dict)
    duration: float | None = None
    times: int = 1
    every: float = 0.0
    late: bool = False
    place: str = field(default="", compare=False)

    @property
    def may_wait(self) -> bool:
        """Say whether its targets may be picked when its turn comes: so the document says, or another driver does."""
        return self.late or self.target.rule is not None

    @property
    def closes(self) -> bool:
        """Say whether it is healed before its step is over."""
        return self.duration is not None or self.times > 1

    def seconds(self, groups: int = 1) -> float:
        """Return how long its step takes at the least, where its targets are broken in so many groups."""
        lasts = groups * (self.duration or 0.0)
        return (self.times - 1) * max(self.every, lasts) + lasts
