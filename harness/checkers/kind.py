"""What an objective is: one value that says everything about it, with the pure functions that judge it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model.disturbance import Disturbance
from harness.model.fault import FaultSpec
from harness.model.history import History, Operation
from harness.model.parameter import Parameter
from harness.model.verdict import Finding


@dataclass(frozen=True, slots=True)
class Missed:
    """Why no fault of a document can break an objective although its kind could: which parameter says so, and why.

    In the hint `{faults}` stands for the kinds that could.
    """

    key: str
    what: str
    why: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Standard:
    """A promise that every experiment with load makes, by the stack's own numbers where it states none.

    `weaker` says whether a value promises less than a limit does; `shown` writes one as a person would.
    """

    weaker: Callable[[float, float], bool]
    shown: Callable[[float], str]


@dataclass(frozen=True, slots=True)
class ObjectiveKind:
    """One kind of objective: what it promises, its numbers, and when it is broken or unknown.

    It would hold whatever the system does where no fault disturbs it in one of the ways of `exercised_by`; `missed`
    looks closer, at the faults of a document, each with whether it disturbs so. `before` says what was amiss before any
    fault, for a promise that a system without one can break. `asks` are the PromQL queries whose answers it is judged
    by, over the run's own stretch of time; it is judged `at_gateway` where these count what passes there. The system is
    steady when nothing answers `steady_when_none` and what answers `steady_when_zero`, a query made from the
    parameters, is 0. `by_calls` is the parameter that asks to judge it by what pods recorded of their calls, too: these
    are fetched, with the right to ask pods through the API server. `rights` are what else it is judged by needs in each
    namespace of the run. By `place` it stands among the others in a report.
    """

    name: str
    place: int
    summary: str
    broken: str
    unknown: str
    exercised_by: frozenset[Disturbance]
    check: Callable[[History, Mapping[str, Any]], Finding]
    parameters: tuple[Parameter, ...]
    missed: Callable[[Mapping[str, Any], Sequence[tuple[FaultSpec, bool]]], Missed | None] | None = None
    before: Callable[[Sequence[Operation], Mapping[str, Any]], str] | None = None
    standard: Standard | None = None
    needs_load: bool = True
    one_of: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    at_gateway: bool = False
    by_calls: str = ""
    rights: tuple[Mapping[str, Any], ...] = ()
    steady_when_none: str = ""
    steady_when_zero: Callable[[Mapping[str, Any]], str] | None = None
