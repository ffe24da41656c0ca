"""Ctrl-C while the stack is built: the command under way ends, and nobody else takes the cluster before it has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from harness.cluster import cache

# A shell ignores Ctrl-C for what it runs in the background, and so would all that comes of it.
DEPLOYING = """
import signal
import sys
from contextlib import asynccontextmanager
from functools import partial

import anyio

from harness.cluster import cache, command
from harness.cluster.kube import Kube
from harness.stack import deploy, source
from tests.unit.stack.deployed import CLUSTER, Cluster

say = partial(print, flush=True)
begin = ["sh", "-c", "echo $$ > /proc/$PPID/fd/1; exec sleep 600"]


@asynccontextmanager
async def connect(*_):
    yield Cluster()


def images(*_):
    try:
        if sys.argv[1] == "run":
            command.run(begin, "building", lambda line: None, estimate=1)
        else:
            command.ask(begin, deadline=600)
        say("the work went on")
    finally:
        say("locked" if cache.held() else "not locked")


signal.signal(signal.SIGINT, signal.default_int_handler)
Kube.connect, source.key, deploy._images = connect, lambda *_: "key", images
try:
    anyio.run(deploy.up, CLUSTER, say)
except KeyboardInterrupt:
    say("interrupted")
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))


@contextmanager
def deploying(how: str) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    """Deploy in a process of its own; give the first line that it says, and what tells the rest after a Ctrl-C."""
    argv = [sys.executable, "-c", DEPLOYING, how]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=cache.project_root()) as process:
        assert process.stdout

        def interrupted() -> list[str]:
            process.send_signal(signal.SIGINT)
            return process.communicate(timeout=30)[0].splitlines()

        try:
            yield process.stdout.readline().strip(), interrupted
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["run", "ask"])
def test_a_command_under_way_ends_before_the_lock_is_free(how: str) -> None:
    with deploying(how) as (pid, interrupted):
        try:
            assert interrupted() == ["locked", "interrupted"]
            with pytest.raises(ProcessLookupError):
                os.kill(int(pid), 0)
        finally:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def test_a_wait_for_another_command_ends_at_once() -> None:
    with cache.locked("stack", print), deploying("run") as (line, interrupted):
        assert line == "waiting for another harness command that holds 'stack'"
        assert interrupted() == ["interrupted"]
