"""What a fault is: one value that says everything about it, with plain functions for what it does."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from harness.errors import ApiError, ClusterUnreachable
from harness.hands.api import undoing
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Target, Undo
from harness.model.parameter import Parameter
from harness.model.plan import PlannedFault, Victim
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.workloads.pod import Pod

# A rule of a Role, as Kubernetes writes it.
Rule: TypeAlias = Mapping[str, Any]
Object: TypeAlias = Mapping[str, Any]


class Unfit(NamedTuple):
    """Why a target cannot have a fault, and how to mend it."""

    what: str
    why: str
    hint: str = ""


def nothing(fault: PlannedFault, reach: Reach) -> Undo:
    """List no operation: somebody replaces what is gone."""
    return []


async def as_written(kube: Kube, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return parameters as they are: they name nothing of a cluster."""
    return parameters


def by_anybody(parameters: Mapping[str, Any]) -> bool:
    """Say that evidence needs no load."""
    return False


def nowhere(parameters: Mapping[str, Any]) -> Mapping[str, Sequence[Rule]]:
    """Ask for nothing beside its target."""
    return {}


def all_of_it(parameters: Mapping[str, Any]) -> str:
    """Say nothing: the whole target is meant."""
    return ""


def stays(fault: PlannedFault, pod: Pod) -> Fate:
    """Say that a pod stays as it is."""
    return Fate.STAYS


async def by_itself(fault: PlannedFault, reach: Reach) -> None:
    """Ask for nothing: whoever replaces what is gone is at it already."""


def recorded(fault: PlannedFault, reach: Reach) -> Undo:
    """Return what was written down before the effect; nothing where that has not been found out."""
    found: Undo = reach.note(fault).get("undo", [])
    return found


async def as_recorded(fault: PlannedFault, reach: Reach) -> None:
    """Undo what was written down; the healer does it when the API server does not answer us."""
    try:
        reach.note(fault)["left"] = await undoing.perform(reach.kube, recorded(fault, reach))
    except (ApiError, ClusterUnreachable):
        if not reach.healer.own:
            raise
        await reach.by(fault).heal(fault.id)


async def by_hand(fault: PlannedFault, reach: Reach) -> None:
    """Have the hand that did the fault undo it as it was registered."""
    await reach.by(fault).heal(fault.id)


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault.

    `target` is what it is aimed at, `container` says that a document may name one of a pod's containers, `instant`
    that it is over at once, `restarts` that the kubelet starts again what it ended, in its own time, `alone` that no
    other fault may be in its run, `felt_within` for how many seconds its evidence is waited for. `evidence` and
    `healed_when` say in words what `felt` and `healed` wait for.

    `undo` lists the ledger operations that heal it without the process that made it, each of which may be done twice;
    where these depend on what is there, `prepare` finds them out right before. `inject` makes the effect after
    `reach.guard()` and returns facts. `felt` waits for evidence from outside of the fault and `healed` until the system
    has what it lost; whoever calls them sets the deadline by cancelling. `heal` asks for the undo. `remains` says what
    of it is still there, empty for nothing: it is asked where the undo was done and the healing was not seen.

    `order` is for a hand that acts by itself as soon as the fault's resource is there: it looks at what must be seen
    before, and returns what the resource tells that hand; `inject` then waits for the effect.

    `clash` says which parameter cannot go with a target or with others, and why, whatever the cluster has. `resolve`
    makes of names in parameters what they mean in a cluster, when the run is planned, and `meant` says what of its
    target they narrow it to, as a plan shows it. `met_by_load` says that its evidence is what the run's load is
    answered.

    `fate` says what becomes of a pod that it reaches. `reaches` says, with its parameters, whether it takes a pod with
    its target, `most` how many of these at the most, `inside` which containers of a pod it acts on, given the named
    one. Pods that it takes count as touched where it `spends` them. `unfit` says why a target cannot have it: what,
    why, and how to mend it. `most` and `unfit` are given the target as the API server has it, or that `part`
    of it, with the whole as `of`.

    `rights` are what it needs where its target is, `of_target` what it needs of them for one target where that is less,
    `beside` what it needs for rarer targets: a role grants it, and a run begins without it. `elsewhere` is what its
    parameters need in which namespace.
    """

    name: str
    hand: Hand
    target: str
    summary: str
    evidence: str
    healed_when: str
    disturbs: frozenset[Disturbance]
    inject: Callable[[PlannedFault, Reach], Awaitable[Facts]]
    felt: Callable[[PlannedFault, Reach], Awaitable[Facts | None]]
    healed: Callable[[PlannedFault, Reach], Awaitable[Facts]]
    undo: Callable[[PlannedFault, Reach], Undo] = nothing
    heal: Callable[[PlannedFault, Reach], Awaitable[None]] = by_itself
    remains: Callable[[PlannedFault, Reach], Awaitable[str]] | None = None
    order: Callable[[PlannedFault, Reach], Awaitable[Mapping[str, Any]]] | None = None
    resolve: Callable[[Kube, Mapping[str, Any]], Awaitable[Mapping[str, Any]]] = as_written
    meant: Callable[[Mapping[str, Any]], str] = all_of_it
    met_by_load: Callable[[Mapping[str, Any]], bool] = by_anybody
    elsewhere: Callable[[Mapping[str, Any]], Mapping[str, Sequence[Rule]]] = nowhere
    fate: Callable[[PlannedFault, Pod], Fate] = stays
    reaches: Callable[[Mapping[str, Any], Pod], bool] | None = None
    prepare: Callable[[PlannedFault, Reach], Awaitable[Undo]] | None = None
    unfit: Callable[[Mapping[str, Any], Object, Victim], Unfit | None] | None = None
    most: Callable[[Mapping[str, Any], Object, int], int] | None = None
    part: str = ""
    clash: Callable[[Target, Mapping[str, Any]], tuple[str, Unfit] | None] | None = None
    spends: bool = False
    inside: Callable[[Pod, str], str] | None = None
    parameters: tuple[Parameter, ...] = ()
    rights: tuple[Rule, ...] = ()
    of_target: Callable[[Target], tuple[Rule, ...]] | None = None
    beside: tuple[Rule, ...] = ()
    container: bool = False
    instant: bool = False
    restarts: bool = False
    alone: bool = False
    felt_within: float = 75.0

    def needs(self, target: Target) -> tuple[Rule, ...]:
        """List what it needs to be granted for one target."""
        return self.of_target(target) if self.of_target else self.rights

    @property
    def about(self) -> str:
        """Return the text that its file begins with."""
        return inspect.getdoc(sys.modules[f"{__package__}.{self.name}"]) or ""
