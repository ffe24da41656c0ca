"""Find and load the experiments that a command line names: files, folders, or sets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.errors import Exit, HarnessError, UsageError
from harness.model import document
from harness.model.experiment import Experiment


def load(paths: Iterable[Path], *, only: str | None = None) -> list[Experiment]:
    """Load every experiment below `paths`, in a stable order; `only` keeps those of one set.

    Raises UsageError for a file that is not a valid experiment.
    """
    defaults = slo()
    found: list[Experiment] = []
    for path in paths:
        files = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
        for file in files:
            if path.is_dir() and not document.is_experiment(file):
                continue
            found.append(document.load(file, defaults))
    return [experiment for experiment in found if only is None or only in experiment.sets]


def slo() -> dict[str, dict[str, object]] | None:
    """Return the objectives of `stack/slo.yaml` beside the experiments, or None where there is none."""
    path = Path("stack/slo.yaml")
    return document.defaults(path) if path.exists() else None


class NothingRan(HarnessError):
    """No experiment was left to run."""

    exit = Exit.NOTHING_RAN


__all__ = ["NothingRan", "UsageError", "load", "slo"]
