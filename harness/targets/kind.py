"""What a kind of thing that faults are aimed at knows: how it is named, found, and which pods live by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from harness.model.fault import Target
from harness.model.plan import Victim
from harness.workloads import Owners

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

Object = Mapping[str, Any]


async def _none(kube: Kube, owners: Owners, victim: Victim) -> Sequence[Object]:
    return []


async def _whole(kube: Kube, victim: Victim, parameters: Object) -> Sequence[Victim]:
    return ()


@dataclass(frozen=True, slots=True)
class Search:
    """Where candidates are looked for.

    `nodes` are all nodes and `zones` theirs by name, none where they may not be looked at; `inside` says which
    containers of a pod are meant.
    """

    kube: Kube
    owners: Owners
    target: Target
    nodes: Sequence[Object] = ()
    zones: Mapping[str, str] = field(default_factory=dict)
    inside: Callable[[Object, str], str] | None = None


@dataclass(frozen=True, slots=True)
class TargetKind:
    """One kind of thing that faults are aimed at.

    `words` name a rule as a person would look for it, `find` lists what matches, the oldest first, each with the object
    that it is. Of such objects `soonest` keeps those that come back soonest, where a restart has to be waited for.
    `pods` lists those that live by one of them, and `parts` what it is made of, as far as a fault's parameters mean it,
    where that is more than itself.
    """

    words: Callable[[Target], str]
    find: Callable[[Search], Awaitable[list[tuple[Victim, Object]]]]
    hint: str = ""
    pods: Callable[[Kube, Owners, Victim], Awaitable[Sequence[Object]]] = _none
    parts: Callable[[Kube, Victim, Object], Awaitable[Sequence[Victim]]] = _whole
    soonest: Callable[[Sequence[Object], int, str, float, datetime], Sequence[Object]] | None = None
