"""What a start changes on the machine is noted once and given back; what others need stays and is told."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.cluster import cache, command, daemon, down, firewall, footprint, up
from harness.cluster.footprint import CLUSTER, DAEMON
from harness.errors import PreconditionFailed
from tests.unit.cluster.conftest import FakeDocker
from tests.unit.cluster.machine import BRIDGE, DOCKER, FORWARD, PANIC, Host

START = daemon._start


def test_what_a_daemon_changed_is_given_back(host: Host) -> None:
    footprint.note(DAEMON)
    host.docker_starts()
    said = host.give_back(DAEMON)
    assert host.read(FORWARD) == "0"
    assert host.restored == {"iptables": firewall.leaving("", DOCKER, opens=True).text}
    assert not host.files[1].exists()
    assert not (host.groups / "cpu" / "docker").exists()
    assert said == [f"given back: {FORWARD} = 0", "given back: iptables without Docker's chains"]


def test_the_machine_is_noted_before_a_daemon_is_started(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[bool] = []

    def start(*_: object, **__: object) -> None:
        noted.append(footprint.is_noted(DAEMON))
        raise InterruptedError

    monkeypatch.setattr(command, "ask", lambda argv, **_: subprocess.CompletedProcess(argv, 0, "", ""))
    monkeypatch.setattr(daemon.subprocess, "Popen", start)
    monkeypatch.setattr(daemon, "runtime", lambda: host.root / "run")
    with pytest.raises(InterruptedError):
        START(lambda line: None)
    assert noted == [True]


def test_a_second_start_does_not_take_for_found_what_the_first_one_changed(host: Host) -> None:
    footprint.note(DAEMON)
    host.docker_starts()
    footprint.note(DAEMON)
    host.give_back(DAEMON)
    assert host.read(FORWARD) == "0"
    assert "-X DOCKER" in host.restored["iptables"]


def test_what_was_given_back_is_noted_anew_at_the_next_start(host: Host) -> None:
    footprint.note(DAEMON)
    host.give_back(DAEMON)
    assert not footprint.is_noted(DAEMON)
    host.write({FORWARD: "1"})
    footprint.note(DAEMON)
    assert host.give_back(DAEMON) == []
    assert host.read(FORWARD) == "1"


def test_a_note_of_before_the_machine_was_started_again_is_none(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    footprint.note(DAEMON)
    monkeypatch.setattr(footprint, "_machine", lambda: "another start")
    assert not footprint.is_noted(DAEMON)


def test_nodes_that_docker_starts_again_with_the_machine_are_given_back_by_the_note_of_before(
    host: Host, made: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "_machine", lambda: "another-start net:[1]")
    host.write({PANIC: "10"})
    made.containers["chaos-local-worker"].state = "exited"
    up.up(host.lines.append)
    down.down(host.lines.append)
    assert host.read(PANIC) == "0"


def test_nodes_that_have_not_run_since_the_machine_was_started_have_changed_nothing(
    host: Host, made: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "_machine", lambda: "another-start net:[1]")
    host.write({"vm.overcommit_memory": "1"})
    for node in made.containers.values():
        node.state = "exited"
    down.down(host.lines.append)
    assert host.read("vm.overcommit_memory") == "1"
    assert not any("sysctl" in line for line in host.lines)


def test_a_cluster_that_is_made_anew_after_a_start_of_the_machine_is_noted_anew(
    host: Host, made: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.containers.clear()
    monkeypatch.setattr(footprint, "_machine", lambda: "another-start net:[1]")
    host.write({PANIC: "10"})
    up.up(host.lines.append)
    down.down(host.lines.append)
    assert host.read(PANIC) == "10"


@pytest.mark.parametrize("network", ["net:[1]", "net:[2]"])
def test_what_nodes_have_set_of_the_kernel_outlives_a_network(
    host: Host, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    monkeypatch.setattr(footprint, "_machine", lambda: "a-start net:[1]")
    footprint.note(CLUSTER)
    footprint.note(DAEMON)
    host.docker_starts()
    host.write({PANIC: "10"})
    monkeypatch.setattr(footprint, "_machine", lambda: f"a-start {network}")
    footprint.note(CLUSTER)
    host.give_back(CLUSTER)
    host.give_back(DAEMON)
    assert (host.read(PANIC), host.read(FORWARD)) == ("0", "0" if network == "net:[1]" else "1")


def test_a_cluster_of_a_version_that_noted_nothing_is_not_taken_for_how_the_machine_was(
    host: Host, made: FakeDocker
) -> None:
    (cache.cache_dir() / "machine.json").unlink()
    host.write({PANIC: "10", "kernel.panic_on_oops": "1"})
    made.containers["chaos-local-worker"].state = "exited"
    up.up(host.lines.append)
    host.lines.clear()
    down.down(host.lines.append)
    assert not footprint.is_noted(CLUSTER)
    assert any(f"`sysctl -w {PANIC}=0 kernel.panic_on_oops=0`" in line for line in host.lines)
    host.lines.clear()
    down.down(host.lines.append)
    assert not any("sysctl" in line for line in host.lines)


def test_what_an_older_version_noted_is_known(host: Host) -> None:
    footprint.note(DAEMON)
    file = cache.cache_dir() / "machine.json"
    noted = json.loads(file.read_text())
    old = noted["notes"][DAEMON]
    file.write_text(json.dumps({"machine": old.pop("machine"), "notes": {DAEMON: old}}))
    for key in ("along", "interfaces", "configured"):
        del old[key]
    host.docker_starts()
    host.rules["ip6tables"] = None
    host.give_back(DAEMON)
    assert host.read(FORWARD) == "0"
    assert not footprint.is_noted(DAEMON)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"machine": 1}', '{"notes": [1]}', '{"notes": {"x": 1}}'])
def test_a_note_that_cannot_be_read_is_none(host: Host, text: str) -> None:
    cache.cache_dir().mkdir(parents=True)
    (cache.cache_dir() / "machine.json").write_text(text)
    assert host.give_back(DAEMON) == []


def test_another_daemon_keeps_what_it_needs_and_it_is_said_until_it_is_gone(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    footprint.note(DAEMON)
    host.docker_starts()
    monkeypatch.setattr(footprint, "processes", lambda program: {77: ["/usr/bin/dockerd"]})
    (said,) = host.give_back(DAEMON)
    assert "dockerd runs here, too (process 77): Docker's rules in iptables" in said
    assert f"`sysctl -w {FORWARD}=0`" in said
    assert (host.read(FORWARD), host.restored, host.files[0].exists()) == ("1", {}, True)
    monkeypatch.setattr(footprint, "processes", lambda program: {})
    host.give_back(DAEMON)
    assert host.read(FORWARD) == "0"


def test_forwarding_stays_where_others_have_begun_to_use_it(host: Host) -> None:
    footprint.note(DAEMON)
    host.docker_starts()
    host.rules["iptables"] = DOCKER.replace("-A DOCKER-USER", "-A FORWARD -i tap0 -j ACCEPT\n-A DOCKER-USER")
    said = host.give_back(DAEMON)
    assert host.read(FORWARD) == "1"
    assert "(-A FORWARD -i tap0 -j ACCEPT): `iptables -P FORWARD ACCEPT`" in said[-1]
    assert "-X DOCKER" in host.restored["iptables"]
    assert footprint.is_noted(DAEMON)


def test_forwarding_stays_for_an_interface_of_others_who_write_no_rules_that_iptables_shows(host: Host) -> None:
    footprint.note(DAEMON)
    host.docker_starts()
    host.interfaces.append("incusbr0")
    said = host.give_back(DAEMON)
    assert host.read(FORWARD) == "1"
    assert "(interface incusbr0): `iptables -P FORWARD ACCEPT`" in said[-1]
    assert "-X DOCKER" in host.restored["iptables"]
    assert "FORWARD ACCEPT" not in host.restored["iptables"]
    host.interfaces.remove("incusbr0")
    host.give_back(DAEMON)
    assert host.read(FORWARD) == "0"


def test_no_policy_is_opened_while_packets_are_forwarded_for_others(host: Host) -> None:
    footprint.note(DAEMON)
    host.docker_starts()
    host.rules["ip6tables"] = DOCKER
    host.rules["iptables"] = DOCKER.replace("-A DOCKER-USER", "-A FORWARD -i tap0 -j ACCEPT\n-A DOCKER-USER")
    host.give_back(DAEMON)
    assert "FORWARD ACCEPT" not in "".join(host.restored.values())


def test_no_policy_is_opened_where_forwarding_may_not_be_ended(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    footprint.note(DAEMON)
    host.docker_starts()

    def refuse(path: Path, text: str) -> int:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "write_text", refuse)
    said = host.give_back(DAEMON)
    assert "FORWARD ACCEPT" not in host.restored["iptables"]
    assert f"`iptables -P FORWARD ACCEPT`, `sysctl -w {FORWARD}=0`" in said[-1]


@pytest.mark.parametrize(
    ("part", "name", "value"), [(DAEMON, FORWARD, "1"), (CLUSTER, "vm.overcommit_memory", "1"), (CLUSTER, PANIC, "10")]
)
def test_what_the_machine_is_configured_to_since_stays(host: Host, part: str, name: str, value: str) -> None:
    host.write({name: "0"})
    footprint.note(part)
    host.write({name: value})
    host.configure(f"# for the database\n{name} = {value}\n")
    host.give_back(part)
    assert host.read(name) == value


def test_a_configuration_that_was_there_and_not_applied_is_not_applied_now(host: Host) -> None:
    host.configure(f"-{PANIC.replace('.', '/')}=10\n")
    footprint.note(CLUSTER)
    host.write({PANIC: "10"})
    host.give_back(CLUSTER)
    assert host.read(PANIC) == "0"


def test_the_command_that_ends_forwarding_gives_back_what_the_kernel_takes_along(host: Host) -> None:
    redirects = "net/ipv4/conf/all/accept_redirects"
    host.write({redirects: "0"})
    footprint.note(DAEMON)
    host.docker_starts()
    host.rules["iptables"] = DOCKER.replace("-A DOCKER-USER", "-A FORWARD -i tap0 -j ACCEPT\n-A DOCKER-USER")
    assert f"`sysctl -w {FORWARD}=0 {redirects}=0`" in host.give_back(DAEMON)[-1]


def test_rules_that_cannot_be_changed_end_no_cleaning(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(program: str, text: str) -> None:
        raise PreconditionFailed("exit status 4", why="Permission denied (you must be root)")

    monkeypatch.setattr(firewall, "restore", refuse)
    footprint.note(DAEMON)
    host.docker_starts()
    assert any("Permission denied" in line and "Docker's rules in iptables" in line for line in host.give_back(DAEMON))
    assert host.read(FORWARD) == "0"


def test_rules_that_cannot_be_read_any_more_are_told_until_they_can(host: Host) -> None:
    footprint.note(DAEMON)
    host.docker_starts()
    host.rules["iptables"] = None
    said = host.give_back(DAEMON)
    assert any("cannot be read" in line and "Docker's rules in iptables" in line for line in said)
    assert footprint.is_noted(DAEMON)
    host.rules["iptables"] = DOCKER
    host.give_back(DAEMON)
    assert "-X DOCKER" in host.restored["iptables"]


def test_a_policy_that_nobody_saw_before_is_not_opened(host: Host) -> None:
    host.rules["iptables"] = None
    footprint.note(DAEMON)
    host.docker_starts()
    host.give_back(DAEMON)
    assert "-X DOCKER" in host.restored["iptables"]
    assert "FORWARD ACCEPT" not in host.restored["iptables"]


def test_a_packet_filter_that_is_not_there_owes_nothing(host: Host) -> None:
    host.rules["ip6tables"] = None
    footprint.note(DAEMON)
    host.docker_starts()
    assert not any("ip6tables" in line for line in host.give_back(DAEMON))
    assert not footprint.is_noted(DAEMON)


def test_bridges_that_asked_no_packet_filter_ask_none_afterwards(host: Host) -> None:
    footprint.note(DAEMON)
    host.write({BRIDGE: "1"})
    host.give_back(DAEMON)
    assert host.read(BRIDGE) == "0"


def test_what_the_nodes_set_of_the_kernel_is_given_back(host: Host) -> None:
    footprint.note(CLUSTER)
    host.write({PANIC: "10"})
    assert host.give_back(CLUSTER) == [f"given back: {PANIC} = 0"]
    assert host.read(PANIC) == "0"


@pytest.mark.parametrize("value", ["0", "30"])
def test_what_somebody_else_has_set_since_stays(host: Host, value: str) -> None:
    footprint.note(CLUSTER)
    host.write({PANIC: value})
    assert host.give_back(CLUSTER) == []
    assert host.read(PANIC) == value


@pytest.mark.parametrize("theirs", ["kubelet", "k3s-server", "kubelite"])
def test_the_nodes_of_others_keep_what_they_need(host: Host, monkeypatch: pytest.MonkeyPatch, theirs: str) -> None:
    footprint.note(CLUSTER)
    host.write({PANIC: "10"})
    monkeypatch.setattr(footprint, "processes", lambda program: {12: [theirs]} if program == theirs else {})
    (said,) = host.give_back(CLUSTER)
    assert f"{theirs} runs here, too (process 12)" in said
    assert host.read(PANIC) == "10"


def test_whoever_may_not_set_it_is_told_the_command(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    footprint.note(CLUSTER)
    host.write({PANIC: "10"})

    def refuse(path: Path, text: str) -> int:
        raise PermissionError(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", refuse)
        (said,) = host.give_back(CLUSTER)
    assert f"`sysctl -w {PANIC}=0` would give it back" in said
