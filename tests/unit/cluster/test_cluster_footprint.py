"""What a start changes on the machine is noted once and given back; what others need stays and is told."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.cluster import cache, command, daemon, down, firewall, footprint, local, stopping, up
from harness.cluster.footprint import CLUSTER, DAEMON
from harness.errors import PreconditionFailed
from tests.unit.cluster.conftest import FakeDocker

RULES = Path(__file__).parent / "rules"
DOCKER = (RULES / "docker-20.txt").read_text()
FORWARD, PANIC, BRIDGE = "net.ipv4.ip_forward", "kernel.panic", "net.bridge.bridge-nf-call-iptables"
FOUND = {FORWARD: "0", PANIC: "0", "vm.overcommit_memory": "0", "net.ipv6.conf.all.forwarding": "0"}
PROCESSES, START, INTERFACES = footprint.processes, daemon._start, footprint.interfaces


class Host:
    """A machine's settings, its packet filter and its folders; `write` changes a setting."""

    def __init__(self, root: Path) -> None:
        self.root, self.restored = root, dict[str, str]()
        self.rules: dict[str, str | None] = dict.fromkeys(firewall.PROGRAMS, "")
        self.files = [root / "etc" / "docker" / "key.json", root / "etc" / "docker"]
        self.groups = root / "cgroup"
        self.interfaces = ["virbr0"]
        self.lines: list[str] = []
        (self.groups / "cpu").mkdir(parents=True)
        self.write(FOUND)

    def write(self, values: dict[str, str]) -> None:
        for name, value in values.items():
            path = self.root / "sys" / name.replace(".", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")

    def configure(self, text: str) -> None:
        (self.root / "sysctl.d").mkdir(exist_ok=True)
        (self.root / "sysctl.d" / "90-own.conf").write_text(text)

    def read(self, name: str) -> str:
        return (self.root / "sys" / name.replace(".", "/")).read_text().strip()

    def docker_starts(self) -> None:
        self.write({FORWARD: "1"})
        self.rules["iptables"] = DOCKER
        self.files[0].parent.mkdir(parents=True, exist_ok=True)
        self.files[0].write_text("{}")
        (self.groups / "cpu" / "docker" / "some-container").mkdir(parents=True)

    def give_back(self, part: str) -> list[str]:
        self.lines.clear()
        footprint.give_back(part, self.lines.append)
        return self.lines


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setattr(footprint, "GROUPS", made.groups)
    monkeypatch.setattr(footprint, "FILES", [str(path) for path in made.files])
    monkeypatch.setattr(footprint, "interfaces", lambda: made.interfaces)
    monkeypatch.setattr(firewall, "saved", lambda program: made.rules[program])
    monkeypatch.setattr(firewall, "restore", made.restored.__setitem__)
    return made


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
