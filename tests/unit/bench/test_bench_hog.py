"""A hog keeps a core busy and never outlives the reason it was started for."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path

from bench import hog, speed

ROOT = Path(__file__).parents[3]
PARENT = """
from bench import hog
with hog.busy(2, 600) as hogs:
    print(*(one.pid for one in hogs), flush=True)
    input()
"""


def test_it_ends_when_its_time_is_over() -> None:
    with hog.busy(2, 0.05) as hogs:
        assert [one.wait(timeout=30) for one in hogs] == [0, 0]


def test_it_ends_with_the_block_and_uses_the_processor_until_then() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with hog.busy(1, 600) as hogs:
        ticks = Path(f"/proc/{hogs[0].pid}/stat")
        while int(ticks.read_text().rpartition(")")[2].split()[11]) < 20:
            pass
    assert hogs[0].returncode == -signal.SIGKILL
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before >= 0.2


def test_it_does_not_outlive_a_parent_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        ends = [os.pidfd_open(int(word)) for word in parent.stdout.readline().split()]
        parent.kill()
    assert len(ends) == 2
    for end in ends:
        assert select.select([end], [], [], 30)[0], "the hog is still there"
        os.close(end)


def test_the_fixed_loop_takes_time() -> None:
    assert speed.loop() > 0
