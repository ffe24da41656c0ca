"""Refuse several workers: two experiments at once would judge each other's faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

SUFFIXES = (".yaml", ".yml", ".json")
SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "build", "dist"})


def refuse_experiments(config: pytest.Config) -> None:
    """Raise UsageError when the session would collect an experiment."""
    from harness.model.document import is_experiment

    for path in _documents(config):
        if b"harness" in path.read_bytes() and is_experiment(path):
            raise pytest.UsageError(
                f"{path}: experiments run one at a time\n"
                "  why   they share a cluster, and each would be judged by the other's fault\n"
                "  fix   -n0, or give pytest the experiments in a session of their own"
            )


def refuse_worker(config: pytest.Config) -> None:
    """Raise UsageError inside one of several workers."""
    worker = getattr(config, "workerinput", None)
    if worker and worker.get("workercount", 1) > 1:
        raise pytest.UsageError("experiments run one at a time: use -n0")


def _documents(config: pytest.Config) -> Iterator[Path]:
    for argument in config.args:
        path = config.invocation_params.dir / argument.split("::")[0]
        if path.is_file() and path.suffix in SUFFIXES:
            yield path
        elif path.is_dir():
            yield from _below(path)


def _below(directory: Path) -> Iterator[Path]:
    for entry in sorted(directory.iterdir()):
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in SKIPPED:
            yield from _below(entry)
        elif entry.is_file() and entry.suffix in SUFFIXES:
            yield entry
