"""Whose CPU it is: counters compared, containers that stop, and a daemon that is not on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from harness.cluster import docker, local
from harness.cluster.host import machine
from harness.cluster.host.counters import Counters, Shares, between, drift
from harness.cluster.host.machine import Look
from harness.cluster.host.procfs import Cpu
from harness.cluster.local import LocalCluster
from harness.errors import ObservationFailed

CLUSTER = LocalCluster(
    "c", Path("k"), "unix:///nowhere/docker.sock", "n", {"a": "a", "b": "b"}, "a", Path("keeper.sock")
)
START = Counters(
    at=100.0,
    awake=100.0,
    wall=5000.0,
    cpu=Cpu(cpus=2, idle=50.0, interrupts=1.0, steal=2.0),
    pressure={"cpu": 10.0, "io": None},
    cluster={"a": 20.0, "b": 8.0},
    harness=4.0,
    serving={7: 1.0},
)


def later(seconds: float = 1.0, **more: Any) -> Counters:
    return replace(START, at=100.0 + seconds, awake=100.0 + seconds, wall=5000.0 + seconds, **more)


def test_the_others_have_what_nobody_else_has() -> None:
    found = between(
        START,
        later(
            cpu=Cpu(cpus=2, idle=50.2, interrupts=1.1, steal=2.1),
            pressure={"cpu": 10.5, "io": None},
            cluster={"a": 20.4, "b": 8.2},
            harness=4.1,
            serving={7: 1.1},
        ),
    )
    shares = {name: round(getattr(found, name) or 0.0, 3) for name in ("idle", "others", "steal", "cluster", "harness")}
    assert shares == {"idle": 0.1, "others": 0.4, "steal": 0.05, "cluster": 0.3, "harness": 0.1}
    assert found.pressure == {"cpu": 0.5, "io": None}


def test_a_container_that_stopped_leaves_the_stretch_unknown_and_the_next_one_known() -> None:
    without = later(cluster={"a": 20.1}, cpu=Cpu(2, 51.0, 1.0, 2.0))
    found = between(START, without)
    assert (found.cluster, found.others) == (None, None)
    assert found.idle == 0.5
    assert between(without, replace(without, at=102.0, cluster={"a": 20.3})).cluster == pytest.approx(0.1)


def test_a_container_that_was_started_again_counts_from_nothing() -> None:
    assert between(START, later(cluster={"a": 20.0, "b": 0.6})).cluster == pytest.approx(0.3)
    gone = replace(START, cluster={"a": 20.0})
    assert between(gone, later(cluster={"a": 20.0, "b": 0.6})).cluster == pytest.approx(0.3)


def test_who_serves_the_cluster_is_not_blamed_for_what_it_did_before_it_was_known() -> None:
    assert between(START, later(serving={7: 1.2, 8: 900.0})).harness == pytest.approx(0.1)


def test_a_child_that_was_not_waited_for_makes_no_negative_share() -> None:
    assert between(START, later(harness=1.0)).harness == 0.0


@pytest.mark.parametrize(
    ("before", "after"), [(None, START.cpu), (START.cpu, None), (START.cpu, Cpu(0, 1.0, 1.0, 1.0))]
)
def test_a_machine_that_cannot_be_read_is_none(before: Cpu | None, after: Cpu | None) -> None:
    found = between(replace(START, cpu=before), later(cpu=after))
    assert (found.idle, found.others, found.cluster) == (None, None, None)


def test_no_time_between_two_looks_says_nothing() -> None:
    assert between(START, START) == Shares(0.0)


@pytest.mark.parametrize(
    ("clocks", "apart"),
    [
        ({}, {"suspended": 0.0, "set": 0.0}),
        ({"awake": 131.0, "wall": 5031.0}, {"suspended": 30.0, "set": 0.0}),
        ({"wall": 5000.0}, {"suspended": 0.0, "set": -1.0}),
    ],
    ids=["in step", "the machine slept", "the clock was set back"],
)
def test_clocks_that_go_apart_tell_a_suspend_from_a_set_clock(
    clocks: Mapping[str, float], apart: dict[str, float]
) -> None:
    assert drift(START, replace(later(), **clocks)) == apart


def containers(*described: tuple[str, int, str]) -> list[dict[str, Any]]:
    return [{"Name": f"/{name}", "Id": identity, "State": {"Pid": pid}} for name, pid, identity in described]


@pytest.mark.parametrize(
    ("described", "why"),
    [
        (containers(("a", os.getpid(), "0" * 64)), "is not found here"),
        (containers(("a", 2**22 + 1, "0" * 64)), "is not found here"),
        (containers(("a", 0, "0" * 64)), "no node runs"),
        ([], "no node runs"),
    ],
    ids=["a number that is somebody else's here", "a number that is nobody's here", "all stopped", "all gone"],
)
def test_a_daemon_on_another_machine_is_not_mistaken_for_ours(
    monkeypatch: pytest.MonkeyPatch, described: list[dict[str, Any]], why: str
) -> None:
    monkeypatch.setattr(docker, "inspect", lambda host, *names: described)
    with pytest.raises(ObservationFailed) as refused:
        machine.find(CLUSTER)
    assert why in refused.value.why


def test_a_node_that_is_stopped_now_is_looked_for_where_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    group = "0::/docker/" + "a" * 64
    mounts = "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    described = containers(("a", 41, "a" * 64), ("b", 0, "b" * 64), ("keeper", 0, "c" * 64))
    monkeypatch.setattr(docker, "inspect", lambda host, *names: described)
    monkeypatch.setattr(machine, "text", lambda path: group if path == "/proc/41/cgroup" else "")
    monkeypatch.setattr(machine.Path, "read_text", lambda path: mounts)
    found = machine.find(CLUSTER, ["keeper"])
    assert found._nodes == {name: PurePosixPath(f"/sys/fs/cgroup/docker/{name * 64}/cpu.stat") for name in ("a", "b")}
    assert found._beside == (PurePosixPath(f"/sys/fs/cgroup/docker/{'c' * 64}/cpu.stat"),)


@pytest.mark.parametrize(
    ("look", "said", "busy"),
    [
        (
            Look(Shares(1.0, 0.61, 0.02, 0.0, 0.33, 0.03), {"python3": 0.015}),
            "61 % idle, cluster 33 %, others 2 %",
            False,
        ),
        (
            Look(Shares(1.0, 0.12, 0.4, 0.08, 0.38, 0.02), {"yes": 0.3, "cc1": 0.06, "x": 0.03, "y": 0.02}),
            "12 % idle, cluster 38 %, taken by the host 8 %, others 40 % (yes 30 %, cc1 6 %, x 3 %)",
            True,
        ),
        (Look(Shares(1.0, 0.2), {}, "elsewhere"), "20 % idle, others not told apart", True),
        (Look(Shares(1.0), {}), "not seen", False),
    ],
    ids=["calm", "busy", "the cluster not seen", "nothing seen"],
)
def test_a_look_says_what_is_left_and_who_has_the_rest(look: Look, said: str, busy: bool) -> None:
    assert (str(look), look.busy) == (said, busy)


def test_a_warning_is_one_sentence_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "look", lambda seconds: Look(Shares(seconds, 0.1, 0.8, 0.0, 0.0, 0.0), {"yes": 0.8}))
    assert machine.warning().startswith("this machine is busy before anything began: 10 % idle, others 80 % (yes 80 %)")
    monkeypatch.setattr(machine, "look", lambda seconds: Look(Shares(seconds, 0.9, 0.0, 0.0, 0.0, 0.0), {}))
    assert machine.warning() == ""


def test_a_look_that_fails_warns_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "current", lambda: 1 / 0)
    assert machine.warning() == ""


def test_this_very_machine_is_seen_without_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    found = machine.look(0.3)
    assert found.shares.idle is not None
    assert found.shares.cluster == 0.0
    assert not found.unseen


def test_a_cluster_that_is_out_of_sight_leaves_the_others_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "current", lambda: CLUSTER)
    monkeypatch.setattr(docker, "inspect", lambda host, *names: [])
    found = machine.look(0.3)
    assert (found.shares.others, found.shares.cluster) == (None, None)
    assert found.shares.idle is not None
    assert "no node runs" in found.unseen


def test_what_this_process_started_is_the_harnesss_only_when_it_is_named() -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"
    seen = machine.Machine()
    before = seen.counters().harness
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", burn], stdin=-1, stdout=-1) as child:
        assert child.stdout
        child.stdout.readline()
        alone, named = seen.counters().harness, seen.counters([child.pid]).harness
        child.communicate(b"\n", timeout=30)
    assert alone - before < 0.4
    assert named - before >= 0.45
    assert seen.counters().harness - before >= 0.45, "what it has waited for is lost"
