"""What an objective is: one value that says everything about it, with the pure functions that judge it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model.disturbance import Disturbance
from harness.model.history import History, Operation
from harness.model.parameter import Parameter
from harness.model.verdict import Finding


@dataclass(frozen=True, slots=True)
class ObjectiveKind:
    """One kind of objective: what it promises, its numbers, and when it is broken or unknown.

    It would hold whatever the system does where no fault disturbs it in one of the ways of `exercised_by`. `before`
    says what was amiss before any fault, for a promise that a system without one can break. `asks` are the PromQL
    queries whose answers it is judged by, over the run's own stretch of time; what `steady_when_none` finds keeps the
    system from its steady state. By `place` it stands among the others in a report.
    """

    name: str
    place: int
    summary: str
    broken: str
    unknown: str
    exercised_by: frozenset[Disturbance]
    check: Callable[[History, Mapping[str, Any]], Finding]
    parameters: tuple[Parameter, ...]
    before: Callable[[Sequence[Operation], Mapping[str, Any]], str] | None = None
    needs_load: bool = True
    one_of: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    steady_when_none: str = ""
