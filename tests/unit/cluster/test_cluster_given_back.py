"""What `down` and `clean` give back, on a machine of the tests' own and on a real kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cluster import cache, command, daemon, down, footprint, up
from harness.cluster.footprint import CLUSTER, DAEMON
from tests.unit.cluster.conftest import FakeDocker
from tests.unit.cluster.machine import FORWARD, PANIC, RULES, Host

INTERFACES = footprint.interfaces


def test_the_kernel_is_noted_before_there_is_a_node_and_given_back_when_there_is_none(
    host: Host, made: FakeDocker
) -> None:
    assert footprint.is_noted(CLUSTER)
    host.write({PANIC: "10"})
    down.down(host.lines.append)
    assert f"given back: {PANIC} = 0" in host.lines
    assert not footprint.is_noted(CLUSTER)
    up.up(lambda line: None)
    assert footprint.is_noted(CLUSTER)


@pytest.mark.parametrize("command_", [down.down, down.clean])
@pytest.mark.parametrize("alive", [True, False])
def test_a_private_daemon_that_goes_gives_back_even_if_it_died_before(
    host: Host,
    fake: FakeDocker,
    monkeypatch: pytest.MonkeyPatch,
    command_: Callable[[cache.Progress], list[str]],
    alive: bool,
) -> None:
    footprint.note(DAEMON)
    host.docker_starts()
    monkeypatch.setattr(daemon, "stop", lambda: alive)
    command_(host.lines.append)
    assert f"given back: {FORWARD} = 0" in host.lines


def test_a_daemon_of_a_version_that_noted_nothing_leaves_no_chains_and_is_told(
    host: Host, fake: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.docker_starts()
    monkeypatch.setattr(daemon, "stop", lambda: True)
    down.down(host.lines.append)
    assert "-X DOCKER" in host.restored["iptables"]
    assert "FORWARD ACCEPT" not in host.restored["iptables"]
    assert host.read(FORWARD) == "1"
    assert any("`iptables -P FORWARD ACCEPT`" in line and "noted nothing" in line for line in host.lines)
    assert not footprint.is_noted(DAEMON)


def test_a_daemon_that_others_use_keeps_what_it_changed(
    host: Host, fake: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    footprint.note(DAEMON)
    host.docker_starts()
    monkeypatch.setattr(down, "_others", lambda: {"theirs": "running"})
    down.down(host.lines.append)
    assert (host.read(FORWARD), footprint.is_noted(DAEMON)) == ("1", True)


def test_networks_of_others_on_a_private_daemon_go_before_it_does(
    fake: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "private_host", lambda: "unix:///fake/docker.sock")
    monkeypatch.setattr(daemon, "stop", lambda: bool(fake.calls.append("stop") or True))
    down.clean(lambda line: None)
    assert fake.calls.index("network prune --force") < fake.calls.index("stop")


INSIDE = """
import pathlib, subprocess, sys
from harness.cluster import firewall, footprint
system = pathlib.Path("/proc/sys/net/ipv4")
hardened = {"ip_forward": "0", "conf/all/accept_redirects": "0", "conf/lo/forwarding": "1"}
for name, value in hardened.items():
    (system / name).write_text(value)
footprint.note(footprint.DAEMON)
subprocess.run(["iptables-restore", sys.argv[1]], check=True)
(system / "ip_forward").write_text("1")
footprint.give_back(footprint.DAEMON, print)
print({name: (system / name).read_text().strip() for name in hardened} == hardened)
print("DOCKER" in str(firewall.saved("iptables")), footprint.is_noted(footprint.DAEMON))
"""


def test_a_real_kernel_is_given_back_as_it_was_though_forwarding_takes_other_settings_along(own_cache: Path) -> None:
    if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "iptables-save"], check=False).returncode != 0:
        pytest.skip("no network namespace with a packet filter can be made here")
    words = [sys.executable, "-c", INSIDE, str(RULES / "docker-20.txt")]
    done = subprocess.run(["unshare", "--net", *words], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.stdout.splitlines() == [
        f"given back: {FORWARD} = 0",
        "given back: iptables without Docker's chains",
        "True",
        "False False",
    ], done.stderr


def test_a_bridge_of_others_is_told_from_dockers_and_from_what_is_not_in_use() -> None:
    add = "for name in virbr9 br-0123456789ab spare0; do ip link add $name type bridge; done"
    wake = "for name in virbr9 br-0123456789ab lo; do ip link set $name up; done"
    script = f'mount -t sysfs none /sys; {add}; {wake}; exec "$@"'
    words = [sys.executable, "-c", "from harness.cluster import footprint; print(footprint.interfaces())"]
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-ec", script, "-", *words],
        capture_output=True, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"no bridges can be made here: {done.stderr}")
    assert done.stdout == "['virbr9']\n"
    # Whatever this machine has: its own device is no sign of others.
    assert "lo" not in INTERFACES()


def test_what_was_installed_is_told_with_the_line_that_removes_it(
    fake: FakeDocker, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_cache.mkdir(parents=True)
    (own_cache / "installed-packages").write_text("docker.io\nrunc\ngone\n")

    def ask(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        there = {"docker.io": "installed", "runc": "installed", "gone": "not-installed"}
        text = "".join(f"{there[name]} {name}\n" for name in argv if name in there)
        return subprocess.CompletedProcess(argv, 0, text, "")

    monkeypatch.setattr(command, "ask", ask)
    lines: list[str] = []
    down.clean(lines.append)
    assert lines[-1].endswith("apt-get remove docker.io runc")
