"""What a run is told besides its document, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.model.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Options:
    """Where a run goes and how it is seeded; `say` receives one plain line per event."""

    kubeconfig: Path | None = None
    context: str | None = None
    seed: int | None = None
    runs: Path = field(default_factory=lambda: Path("runs"))
    dry_run: bool = False
    say: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run's end: its verdict, whether that was declared, its exit code and where its evidence lies.

    `begun` says that the first fault was let through: a run that had to stop before it touched nothing. `heal` is the
    command that heals what it left broken.
    """

    verdict: Verdict
    exit: int
    right: bool
    run: str
    dir: Path
    text: str
    seconds: float
    overhead: float
    reason: str = ""
    begun: bool = True
    cause: str = ""
    heal: str = "harness undo"
