"""Hold what reading one activity needs to know of the whole document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.documents.translate import NodeChoice
from harness.documents.variables import Variables
from harness.model.fault import FaultSpec
from harness.source.closed import Problems
from harness.source.lines import Place

# Words that ask for something; where they do not belong nobody would do it.
HOMES = {
    "configuration": "the top",
    "secrets": "the top, or to a provider",
    "runtime": "the top",
    "steady-state-hypothesis": "the top",
    "method": "the top, or to an http provider",
    "rollbacks": "the top",
    "strategy": "runtime: {hypothesis: ...}, or {rollbacks: ...}",
    "probes": "the hypothesis",
    "provider": "an activity or a control",
    "tolerance": "a probe",
    "pauses": "an activity",
    "background": "an activity",
    "timeout": "an activity, or to its provider",
    "arguments": "a provider",
}
Uncovered = tuple[str, Place, tuple[str, ...]]


@dataclass(slots=True)
class Reading:
    """Variables, names and what was found so far: `named` are the activities that others may refer to.

    `uncovered` gathers what no plan will cover, with its place and, where they are known, its namespaces; `cordoned`
    tells which fault a choice of nodes was cordoned by, `faults` which names of faults are taken.
    """

    problems: Problems
    variables: Variables = field(default_factory=Variables)
    named: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    uncovered: list[Uncovered] = field(default_factory=list)
    cordoned: dict[NodeChoice, str] = field(default_factory=dict)
    faults: set[str] = field(default_factory=set)

    def own(self, fault: FaultSpec) -> FaultSpec:
        """Name a fault so that no other has the name: a step that is repeated is another fault."""
        number, name = 1, fault.activity
        while name in self.faults:
            number += 1
            name = f"{fault.activity} ({number})"
        self.faults.add(name)
        return replace(fault, activity=name)

    def filled(self, value: Any, place: Place) -> Any:
        """Replace variables; one that is known too late is a problem."""
        try:
            return self.variables.fill(value)
        except ValueError as error:
            self.problems.add(
                place,
                str(error),
                why="the plan names its targets before anything is touched",
                hint="read it from the environment, or write it out",
            )
            return None
