"""An experiment as a value; `harness.documents.document` reads it from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.model.fault import FaultSpec
from harness.model.load import LoadSpec
from harness.model.objective import AbortWhen, Objective
from harness.model.schedule import Schedule
from harness.model.verdict import Verdict

SETS = ("local", "nightly", "gameday")


@dataclass(frozen=True, slots=True)
class Activity:
    """One Chaos Toolkit activity: a probe or an action with its provider.

    `stated` is what the process that runs foreign steps is given. `fault` says what a step means, if it means a fault;
    `heals` names the fault that it ends. `deadline` is its own, in seconds; 0 leaves it to the engine.
    """

    kind: str
    name: str
    provider: Mapping[str, Any]
    tolerance: Any = None
    pause_before: float = 0.0
    pause_after: float = 0.0
    fault: FaultSpec | None = None
    stated: Mapping[str, Any] = field(default_factory=dict)
    background: bool = False
    heals: str = ""
    deadline: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """So many of these faults, by the names of their steps, as the seed draws them."""

    names: tuple[str, ...]
    take: int = 1


@dataclass(frozen=True, slots=True)
class Phases:
    """How long each phase may take, in seconds; settle and recovery end as soon as the system is steady."""

    settle: float = 120.0
    baseline: float = 5.0
    hold: float = 5.0
    recovery: float = 60.0


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """The caps of a run: the namespaces it may touch, and how many pods and nodes."""

    namespaces: tuple[str, ...] = ()
    pods: int = 0
    nodes: int = 0


@dataclass(frozen=True, slots=True)
class Expectation:
    """The verdict the document declares; a run is right when it equals it."""

    verdict: Verdict = Verdict.PASS
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment, complete and valid.

    `promising` says that it has our extension; without it the document is run as Chaos Toolkit runs it. `stated` is
    the document for the process that runs foreign steps, `uncovered` names what no plan covers, `controlled` says that
    controls of others must be called, `clustered` that there is no run without a cluster. `strategy` is the
    hypothesis', `rolls_back` the rollbacks', empty for our own. `schedule` says when it is due by itself, `choices`
    which of its faults the seed draws, `parts` which parts of the stack there must be.
    """

    path: Path
    title: str
    description: str
    tags: tuple[str, ...]
    hypothesis: str
    probes: tuple[Activity, ...]
    method: tuple[Activity, ...]
    rollbacks: tuple[Activity, ...]
    sets: frozenset[str]
    load: LoadSpec | None
    phases: Phases
    objectives: tuple[Objective, ...]
    abort_when: AbortWhen | None
    blast_radius: BlastRadius
    expect: Expectation = field(default_factory=Expectation)
    digest: str = ""
    promising: bool = True
    stated: Mapping[str, Any] = field(default_factory=dict)
    uncovered: tuple[str, ...] = ()
    controlled: bool = False
    clustered: bool = True
    strategy: str = "default"
    rolls_back: str = ""
    schedule: Schedule | None = None
    choices: tuple[Choice, ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[FaultSpec, ...]:
        """List the faults of the method, in order."""
        return tuple(activity.fault for activity in self.method if activity.fault)

    @property
    def name(self) -> str:
        """Name the experiment by its file, `component/fault`."""
        return f"{self.path.parent.name}/{self.path.stem}"
