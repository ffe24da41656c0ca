"""Refuse to spread experiments over workers: two at once judge each other's faults, and a worker's verdict is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import Exit
from harness.pytest_plugin import worth_reading
from harness.source import SUFFIXES

SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "build", "dist"})
REFUSED = (
    "experiments run one at a time, in pytest's own process\n"
    "  why   they share a cluster, and each would be judged by the other's fault\n"
    "  fix   -n0, or give pytest the experiments in a session of their own"
)


def refuse_experiments(config: pytest.Config) -> None:
    """Raise UsageError when the session would collect an experiment."""
    from harness.documents.document import is_experiment

    for path in _documents(config):
        if worth_reading(path) and is_experiment(path):
            raise pytest.UsageError(f"{path}: {REFUSED}")


def holds_experiment(config: pytest.Config) -> bool:
    """Say whether the session would collect an experiment."""
    from harness.documents.document import is_experiment

    return any(worth_reading(path) and is_experiment(path) for path in _documents(config))


def refuse_worker(config: pytest.Config) -> None:
    """Fail inside a worker."""
    if hasattr(config, "workerinput"):
        pytest.fail(REFUSED, pytrace=False)


class Watch:
    """Turn what a worker refused into the session's exit status: a worker cannot set it."""

    def __init__(self) -> None:
        self.refused = False

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """See an experiment that a worker would not collect."""
        self.refused |= report.failed and REFUSED in report.longreprtext

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """See a test whose `chaos` a worker would not give."""
        self.refused |= report.failed and REFUSED in report.longreprtext

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Make it a usage error."""
        if self.refused:
            session.exitstatus = int(Exit.USAGE)


def _documents(config: pytest.Config) -> Iterator[Path]:
    for argument in config.args:
        path = config.invocation_params.dir / argument.split("::")[0]
        if path.is_file() and path.suffix in SUFFIXES:
            yield path
        elif path.is_dir():
            yield from _below(path)


def _below(directory: Path) -> Iterator[Path]:
    try:
        entries = sorted(directory.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in SKIPPED:
            yield from _below(entry)
        elif entry.is_file() and entry.suffix in SUFFIXES:
            yield entry
