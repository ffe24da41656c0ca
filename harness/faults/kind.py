"""What a fault is: one value that says everything about it, with plain functions for what it does."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.model.disturbance import Disturbance
from harness.model.fault import FaultSpec, Hand, Undo
from harness.model.parameter import Parameter
from harness.model.plan import PlannedFault
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.workloads.pod import Pod

# A rule of a Role, as Kubernetes writes it.
Rule: TypeAlias = Mapping[str, Any]


def nothing(fault: PlannedFault, reach: Reach) -> Undo:
    """List no operation: somebody replaces what is gone."""
    return []


def together(parameters: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """Find nothing amiss: each parameter says what it means without the others."""
    return ()


async def as_written(kube: Kube, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return parameters as they are: they name nothing of a cluster."""
    return parameters


def anyone(spec: FaultSpec, pod: Pod) -> str:
    """Find nothing that keeps a pod from being a target."""
    return ""


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


async def by_hand(fault: PlannedFault, reach: Reach) -> None:
    """Have the hand that did the fault undo it as it was registered."""
    await reach.by(fault).heal(fault.id)


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault.

    `target` is what it is aimed at, `container` says that a document may name one of a pod's containers, `instant`
    that it is over at once, `restarts` that the kubelet starts again what it ended, in its own time. `evidence` and
    `healed_when` say in words what `felt` and `healed` wait for.

    `undo` lists the ledger operations that heal it without the process that made it, each of which may be done twice.
    `inject` makes the effect after `reach.guard()` and returns facts. `felt` waits for evidence from outside of the
    fault and `healed` until the system has what it lost; whoever calls them sets the deadline by cancelling. `heal`
    asks for the undo.

    `order` is for a hand that acts by itself as soon as the fault's resource is there: it looks at what must be seen
    before, and returns what the resource tells that hand; `inject` then waits for the effect. `amiss` finds parameters
    that do not go together, each with why and a hint; `resolve` makes of names in them what they mean in a cluster,
    when the run is planned, and `part` says what of its target is meant then, as a plan shows it.

    `rights` are what must be granted where its target is, `elsewhere` what its parameters need in which namespace.
    `unfit` says why a pod cannot be the target of what a document states.

    `fate` says what becomes of a pod that it reaches. `reaches` says, with its parameters, whether a fault of a node
    reaches a pod there, `inside` which containers of a pod it acts on, given the named one.
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
    order: Callable[[PlannedFault, Reach], Awaitable[Mapping[str, Any]]] | None = None
    amiss: Callable[[Mapping[str, Any]], Iterable[tuple[str, str, str]]] = together
    resolve: Callable[[Kube, Mapping[str, Any]], Awaitable[Mapping[str, Any]]] = as_written
    part: Callable[[Mapping[str, Any]], str] = all_of_it
    elsewhere: Callable[[Mapping[str, Any]], Mapping[str, Sequence[Rule]]] = nowhere
    unfit: Callable[[FaultSpec, Pod], str] = anyone
    fate: Callable[[PlannedFault, Pod], Fate] = stays
    reaches: Callable[[Mapping[str, Any], Pod], bool] | None = None
    inside: Callable[[Pod, str], str] | None = None
    parameters: tuple[Parameter, ...] = ()
    rights: tuple[Rule, ...] = ()
    container: bool = False
    instant: bool = False
    restarts: bool = False

    @property
    def about(self) -> str:
        """Return the text that its file begins with."""
        return inspect.getdoc(sys.modules[f"{__package__}.{self.name}"]) or ""
