"""Find and load the experiments that a command line names: files, folders, or sets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from harness.documents import document
from harness.errors import Exit, HarnessError, UsageError
from harness.model.experiment import Experiment
from harness.source import SUFFIXES


class NothingRan(HarnessError):
    """No experiment was there to look at or to run."""

    exit = Exit.NOTHING_RAN


def load(paths: Sequence[Path], *, only: str | None = None, given: document.Given | None = None) -> list[Experiment]:
    """Load every experiment below `paths`, in a stable order; `only` keeps those of one set.

    A file that is named is taken whether it has our extension or not, one below a folder only with it. Raises
    UsageError for a file that is not a valid experiment, NothingRan when none is left.
    """
    found = [_experiment(file, given) for path in paths for file in _files(path)]
    kept = [experiment for experiment in found if only is None or only in experiment.sets]
    if not kept:
        sets = sorted(frozenset().union(*(experiment.sets for experiment in found)))
        why = f"none is in the set {only}, they are in {', '.join(sets) or 'no set'}" if found else ""
        raise NothingRan("no experiment here", where=", ".join(map(str, paths)), why=why)
    if remark := next(filter(None, map(document.unpromised, kept)), ""):
        click.echo(remark, err=True)
    return kept


def _files(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    found = [Path(folder, name) for folder, _, names in os.walk(path, onerror=_unseen) for name in names]
    return sorted(file for file in found if file.suffix in SUFFIXES and document.is_experiment(file))


def _unseen(error: OSError) -> None:
    raise UsageError("cannot look into the folder", where=str(error.filename), why=error.strerror or str(error))


def _experiment(file: Path, given: document.Given | None) -> Experiment:
    found = document.load(file, document.defaults_for(file), given)
    # An experiment is named for its folder, and a file of this folder does not say which that is.
    return found if file.parent.name not in ("", "..") else replace(found, path=file.resolve())
