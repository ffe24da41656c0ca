"""Whose Docker daemons there are, and that none of ours is started beside another."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.cluster import command, daemon, footprint, local, stopping
from harness.cluster.footprint import DAEMON
from harness.errors import PreconditionFailed
from tests.unit.cluster.machine import Host

PROCESSES, START = footprint.processes, daemon._start


def told(pid: int, word: str) -> None:
    """Wait until a process that has just begun shows its words: that is after Popen has returned."""
    while word not in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
        os.sched_yield()


@pytest.fixture
def pretender(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Start processes that are called dockerd."""
    program, started = tmp_path / "dockerd", list[subprocess.Popen[bytes]]()
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)

    def start(*before: str) -> int:
        process = subprocess.Popen([*before, program, "600"])
        started.append(process)
        told(process.pid, str(program))
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_daemon_is_found_by_its_name(pretender: Callable[..., int]) -> None:
    pid = pretender()
    assert PROCESSES("dockerd")[pid][1:] == ["600"]


def test_a_daemon_in_a_network_of_its_own_disturbs_nobody(pretender: Callable[..., int]) -> None:
    if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "true"], check=False).returncode != 0:
        pytest.skip("no network namespace can be made here")
    pid = pretender("unshare", "--net")
    assert pid not in PROCESSES("dockerd")


def test_a_daemon_of_a_user_is_its_users_affair(pretender: Callable[..., int]) -> None:
    # Rootless Docker is in our network, as a rule, and has its rules in another.
    alone = ("unshare", "--user", "--map-root-user")
    if os.geteuid() != 0 or subprocess.run([*alone, "true"], check=False).returncode != 0:
        pytest.skip("no user namespace can be made here")
    assert pretender(*alone) not in PROCESSES("dockerd")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["/usr/bin/dockerd", "-H", "fd://"], "systemctl stop docker"),
        (
            ["dockerd", "--config-file", "/disk two/kube-chaos-harness/docker/daemon.json"],
            "HARNESS_CACHE='/disk two' harness down",
        ),
    ],
)
def test_no_second_daemon_is_started_beside_one_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, words: list[str], hint: str
) -> None:
    monkeypatch.setattr(footprint, "processes", lambda program: {4711: words})
    monkeypatch.setattr(daemon.os, "geteuid", lambda: 0)
    monkeypatch.setattr(daemon.shutil, "which", lambda name: name)
    with pytest.raises(PreconditionFailed, match="does not answer here") as refused:
        daemon.check(None)
    assert "process 4711" in refused.value.where
    assert hint in refused.value.hint
    assert "DOCKER_HOST" in refused.value.hint


@pytest.mark.parametrize("words", [["/usr/bin/dockerd", "-H", "fd://"]])
def test_a_second_daemon_is_told_how_to_go_where_the_cluster_is_on_our_own(
    monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    # Docker that was installed since, or that came up with the machine: no DOCKER_HOST takes the cluster there.
    paths = Path("kubeconfig"), Path("keeper.sock")
    local.save(local.LocalCluster(local.NAME, paths[0], daemon.private_host(), "network", {}, "plane", paths[1]))
    monkeypatch.setattr(footprint, "processes", lambda program: {4711: words})
    monkeypatch.setattr(daemon.os, "geteuid", lambda: 0)
    monkeypatch.setattr(daemon.shutil, "which", lambda name: name)
    with pytest.raises(PreconditionFailed, match="does not answer here") as refused:
        daemon.check(None)
    assert "`systemctl stop docker.socket docker`" in refused.value.hint
    assert "harness down" in refused.value.hint
    assert "DOCKER_HOST" not in refused.value.hint


def test_a_daemon_that_came_while_ours_was_installed_keeps_ours_from_starting(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "ask", lambda argv, **_: subprocess.CompletedProcess(argv, 0, "", ""))
    monkeypatch.setattr(daemon, "runtime", lambda: host.root / "run")
    monkeypatch.setattr(footprint, "processes", lambda program: {4711: ["dockerd"]})
    with pytest.raises(PreconditionFailed, match="does not answer here"):
        START(host.lines.append)
    assert not footprint.is_noted(DAEMON)


@pytest.mark.parametrize("what", ["start", "give back"])
def test_two_cache_folders_start_and_end_daemons_one_after_the_other(
    host: Host, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(command, "ask", lambda argv, **_: subprocess.CompletedProcess(argv, 0, "", ""))
    monkeypatch.setattr(daemon, "runtime", lambda: host.root / "run")
    monkeypatch.setattr(daemon.subprocess, "Popen", lambda *_, **__: host.lines.append("started"))
    monkeypatch.setattr(stopping, "pause", lambda: other.close())
    if what == "give back":
        footprint.note(DAEMON)
        host.docker_starts()
    other = footprint.NETWORK.open()
    fcntl.flock(other, fcntl.LOCK_EX)
    with suppress(AttributeError):
        START(host.lines.append) if what == "start" else footprint.give_back(DAEMON, host.lines.append)
    assert other.closed
    waits = [at for at, line in enumerate(host.lines) if line.startswith("waiting for another harness command")]
    assert waits == [0]
    assert len(host.lines) > 1


def test_a_daemon_of_our_own_that_is_about_to_answer_is_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["dockerd", "--config-file", str(daemon.folder() / "daemon.json")]
    monkeypatch.setattr(footprint, "processes", lambda program: {4711: words})
    monkeypatch.setattr(daemon.os, "geteuid", lambda: 0)
    monkeypatch.setattr(daemon.shutil, "which", lambda name: name)
    daemon.check(None)


def test_a_runtime_outlives_no_daemon_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "runtime", lambda: tmp_path)
    folder = daemon.runtime() / "exec" / "containerd"
    folder.mkdir(parents=True)
    config = folder / "containerd.toml"
    program = [sys.executable, "-c", "import sys; sys.stdin.read()", str(config)]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as process:
        told(process.pid, str(config))
        (folder / "containerd.pid").write_text(str(process.pid))
        assert daemon.stop() is False
        assert process.wait(30) != 0
