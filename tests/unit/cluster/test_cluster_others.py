"""Who the others are: told by name, whatever came and went between two looks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.cluster.host.others import Crowd, by_name, family, serving, text, used
from harness.cluster.host.procfs import Process

BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ninput()"


def table(*rows: tuple[int, str, int, float, float]) -> dict[int, Process]:
    return {
        pid: Process(pid, name, parent, seconds, reaped, started=pid) for pid, name, parent, seconds, reaped in rows
    }


def test_a_process_is_told_by_what_it_used_since_the_last_look() -> None:
    before = table((10, "yes", 1, 5.0, 0.0), (11, "sh", 1, 1.0, 0.0))
    after = table((10, "yes", 1, 5.9, 0.0), (11, "sh", 1, 1.0, 0.0), (12, "yes", 1, 0.4, 0.0))
    assert {name: round(seconds, 3) for name, seconds in by_name(used(before, after), after).items()} == {
        "yes": 1.3,
        "sh": 0.0,
    }


def test_children_that_came_and_went_are_their_parents() -> None:
    before = table((10, "make", 1, 1.0, 30.0))
    after = table((10, "make", 1, 1.0, 31.5))
    assert used(before, after) == {10: 1.5}


def test_what_a_child_had_used_before_is_not_told_again_when_it_ends() -> None:
    before = table((10, "make", 1, 1.0, 0.0), (11, "sh", 10, 0.1, 0.0), (12, "cc1", 11, 4.0, 0.0))
    after = table((10, "make", 1, 1.0, 4.6))
    assert {pid: round(seconds, 3) for pid, seconds in used(before, after).items()} == {10: 0.5}


def test_a_number_that_was_given_to_another_process_is_another_process() -> None:
    before = {10: Process(10, "old", 1, 50.0, 0.0, started=1)}
    after = {10: Process(10, "new", 1, 0.2, 0.0, started=2)}
    assert used(before, after) == {10: 0.2}


PRIVATE = table(
    (20, "dockerd", 1, 1.0, 0.0),
    (21, "containerd", 20, 1.0, 0.0),
    (22, "docker-proxy", 20, 1.0, 0.0),
    (23, "containerd-shim", 1, 1.0, 0.0),
    (30, "dockerd", 1, 1.0, 0.0),
    (31, "docker-proxy", 30, 1.0, 0.0),
    (32, "containerd", 1, 1.0, 0.0),
    (40, "yes", 1, 1.0, 0.0),
)


def test_a_daemon_that_is_known_serves_with_its_own_alone() -> None:
    assert serving(PRIVATE, 20) == {20, 21, 22, 23}


def test_a_daemon_without_a_runtime_of_its_own_serves_with_the_machines() -> None:
    assert serving(PRIVATE, 30) == {30, 31, 21, 32, 23}


def test_of_a_daemon_that_is_not_known_every_one_serves() -> None:
    assert serving(PRIVATE, None) == {20, 21, 22, 23, 30, 31}
    assert serving({}, None) == set()


def test_a_real_process_is_named_and_one_of_ours_is_not(tmp_path: Path) -> None:
    # A name that no other run of these tests has at the same time.
    name = f"hog-{os.getpid()}"
    hog = tmp_path / name
    hog.symlink_to(Path(sys.executable).resolve())
    strict, lenient = Crowd(), Crowd()
    assert (strict.look(), lenient.look()) == ({}, {})
    child = subprocess.Popen([hog, "-I", "-S", "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout
        assert child.stdout.readline()
        assert child.pid in {one.pid for one in family(os.getpid())}
        assert strict.look()[name] >= 0.25
        assert name not in lenient.look({child.pid})
    finally:
        child.communicate(b"\n", timeout=30)


def test_what_is_inside_of_a_container_is_nobody_of_the_crowd() -> None:
    own = text("/proc/self/cgroup").rpartition(":")[2].strip() or "/"
    crowd = Crowd([own])
    crowd.look()
    assert os.getpid() not in crowd.table


def test_what_cannot_be_read_is_empty() -> None:
    assert text("/proc/self/no-such-file") == ""
    assert text("/proc/self") == ""
    assert family(2**22 + 1) == []
