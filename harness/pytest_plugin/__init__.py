"""Collect experiments as pytest items and give Python tests a `chaos` fixture.

Everything heavy is imported when an experiment is collected or the fixture is asked for, never when pytest starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.source import LARGEST_BYTES, SUFFIXES

if TYPE_CHECKING:
    from harness.pytest_plugin.fixture import Chaos

MARKER = "chaos(namespaces, pods, nodes): what the test's `chaos` fixture may touch"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the `--chaos-*` options."""
    group = parser.getgroup("chaos", "chaos experiments")
    group.addoption(
        "--chaos-context", metavar="NAME", help="cluster context to run against (default: the local cluster)"
    )
    group.addoption("--chaos-kubeconfig", metavar="FILE", type=Path, help="kubeconfig that holds the context")
    group.addoption("--chaos-set", metavar="SET", help="run only the experiments of this set, such as local or nightly")
    group.addoption("--chaos-seed", metavar="N", type=int, help="seed of target choice and load, to replay a run")
    group.addoption(
        "--chaos-repeat",
        metavar="N",
        type=_times,
        default=1,
        help="run each experiment document N times, in rounds, so that two runs of one are no neighbours; the session"
        " ends with verdicts counted (default: 1)",
    )
    group.addoption(
        "--chaos-runs", metavar="DIR", type=Path, default=Path("runs"), help="where runs are written (default: runs)"
    )
    group.addoption(
        "--chaos-var",
        metavar="NAME[:TYPE]=VALUE",
        action="append",
        default=[],
        help="replace a value of the documents' `configuration`; may be given several times",
    )
    group.addoption(
        "--chaos-var-file",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="replace values of `configuration` and `secrets`; NAME=VALUE lines set the environment",
    )
    group.addoption("--chaos-dry-run", action="store_true", help="show what would be touched, and touch nothing")
    group.addoption(
        "--chaos-inconclusive",
        choices=("fail", "xfail"),
        default="fail",
        help="what an INCONCLUSIVE run is (default: fail)",
    )


def _times(text: str) -> int:
    import argparse

    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs; write 1 or more")
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse to spread experiments over workers."""
    config.addinivalue_line("markers", MARKER)
    if getattr(config.option, "dist", "no") != "no" and not hasattr(config, "workerinput"):
        from harness.pytest_plugin import spread

        spread.refuse_experiments(config)
        config.pluginmanager.register(spread.Watch(), "harness-spread")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Generator[None]:
    """Open what of the standard streams is closed: pytest flushes them at its end, and would end with 1 for it."""
    for number, name in enumerate(("stdout", "stderr"), 1):
        if getattr(sys, name) is None:
            # The lowest that is free is the one that was closed.
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor < number:
                os.dup2(descriptor, number)
                descriptor = number
            setattr(sys, name, open(descriptor, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    yield


@pytest.hookimpl(wrapper=True)
def pytest_sessionstart(session: pytest.Session) -> Generator[None]:
    """Keep a session of experiments going when its reader leaves at the first line, or the disk takes none."""
    if session.config.args_source is pytest.Config.ArgsSource.ARGS and not os.isatty(1):
        from harness.pytest_plugin import spread, unread

        if spread.holds_experiment(session.config):
            unread.bear(session.config)
    yield


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a document with an extension named `harness`, and any of Chaos Toolkit's that the command line names."""
    if file_path.suffix not in SUFFIXES:
        return None
    named = parent.session.isinitpath(file_path)
    if not worth_reading(file_path, named):
        return None
    from harness.documents.document import is_document, is_experiment
    from harness.pytest_plugin.items import ExperimentFile

    if not is_experiment(file_path) and not (named and is_document(file_path)):
        return None
    from harness.pytest_plugin.session import of

    of(parent.config)
    collected: pytest.Collector = ExperimentFile.from_parent(parent, path=file_path)
    return collected


def worth_reading(path: Path, named: bool = False) -> bool:
    """Say whether pytest's session should look at a file; `named` on its command line, it may lack our extension."""
    # What cannot be read or is far too large is some other project's file, and no business of ours.
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return False
        # In UTF-16 there is a zero beside each letter.
        content = path.read_bytes().replace(b"\0", b"")
        return any(word in content for word in ((b"method", b"hypothesis") if named else (b"harness",)))
    except OSError:
        return False


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Have pytest-timeout end a run as an abort does: undone at once, and with a verdict."""
    if item.get_closest_marker("chaos") is None and "chaos" not in getattr(item, "fixturenames", ()):
        return None
    from harness.pytest_plugin import deadline

    return deadline.start(item, settings)


@pytest.fixture
def chaos(request: pytest.FixtureRequest) -> Iterator[Chaos]:
    """Break something on purpose inside a Python test: `with chaos.fault("pod_kill", ...)`, `chaos.load(...)`."""
    from harness.pytest_plugin.fixture import serve

    yield from serve(request)


__all__: list[Any] = [
    "chaos",
    "pytest_addoption",
    "pytest_collect_file",
    "pytest_configure",
    "pytest_load_initial_conftests",
    "pytest_sessionstart",
    "pytest_timeout_set_timer",
]
