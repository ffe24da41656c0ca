"""What the host hand does in a node: the programs run here, with tools that keep what they are told in files."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.hands.host import inside

IPTABLES = r"""#!/bin/sh
tool=${0##*/}; file=$KEPT/${tool%-restore}
[ -e "$KEPT/locked" ] && { echo "cannot get the lock" >&2; exit 4; }
case $tool in *-restore)
  [ "$*" = "--noflush --wait 5" ] || exit 2
  { grep '^-I' | sed 's/^-I/-A/'; cat "$file" 2>/dev/null; } > "$file.new"; mv "$file.new" "$file"; exit ;;
esac
[ "$1 $2 $3 $4" = "-w 5 -t mangle" ] || exit 2
do=$5; shift 5
case $do in
-S) echo "-P $1 ACCEPT"; grep "^-A $1 " "$file" 2>/dev/null; exit 0 ;;
-D) at=$(grep -nxF -m 1 -- "-A $*" "$file") || exit 1; sed -i "${at%%:*}d" "$file" ;;
esac
"""
IP = r"""#!/bin/sh
case $* in
"-o link show eth0") [ ! -e "$KEPT/no-eth0" ] ;;
"-6 addr show dev eth0 scope global") [ ! -e "$KEPT/ipv6" ] || echo "inet6 2001:db8::7/64" ;;
*) exit 2 ;;
esac
"""
SYSTEMCTL = r"""#!/bin/sh
for unit; do :; done
case $1 in
start) [ -e "$KEPT/broken" ] || touch "$KEPT/$unit" ;;
stop) rm -f "$KEPT/$unit" ;;
is-active) [ -e "$KEPT/$unit" ] || { echo inactive; exit 3; } ;;
esac
"""
TOOLS = {"iptables": IPTABLES, "ip6tables": IPTABLES, "ip": IP, "systemctl": SYSTEMCTL}
OURS = [
    "-A PREROUTING -i eth0 -m comment --comment chaos-run-1 -j DROP",
    "-A POSTROUTING -o eth0 -m comment --comment chaos-run-1 -j DROP",
]
THEIRS = "-A PREROUTING -i eth0 -m comment --comment chaos-run-10 -j DROP"


class Node:
    """A node whose tools keep what they are told in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in TOOLS.items():
            for tool in (name, f"{name}-restore"):
                (folder / tool).write_text(text)
                (folder / tool).chmod(0o755)

    def has(self, *names: str) -> None:
        for name in names:
            (self.folder / "kept" / name).touch()

    def rules(self, tool: str = "iptables") -> list[str]:
        kept = self.folder / "kept" / tool
        return kept.read_text().splitlines() if kept.exists() else []

    def does(self, op: Mapping[str, Any]) -> int:
        """Run an operation as the keeper has it run, and return its exit status."""
        environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "KEPT": str(self.folder / "kept")}
        return subprocess.run(op["argv"], env=environment, capture_output=True, check=False).returncode


@pytest.fixture
def node(tmp_path: Path) -> Node:
    (tmp_path / "kept").mkdir()
    return Node(tmp_path)


def network(do: str, fault: str = "run-1") -> dict[str, Any]:
    return inside.network("node-a", fault, do)


def test_a_cut_drops_both_ways_before_anything_else_and_twice_is_once(node: Node) -> None:
    (node.folder / "kept" / "iptables").write_text("-A PREROUTING -j KUBE\n")
    for _ in range(2):
        assert node.does(network("cut")) == 0
    assert node.rules() == [*OURS, "-A PREROUTING -j KUBE"]
    assert node.rules("ip6tables") == []


def test_mending_takes_this_faults_rules_and_no_others_and_may_be_done_twice(node: Node) -> None:
    (node.folder / "kept" / "iptables").write_text(f"{THEIRS}\n-A PREROUTING -j KUBE\n")
    node.does(network("cut"))
    for _ in range(2):
        assert node.does(network("mend")) == 0
        assert node.rules() == [THEIRS, "-A PREROUTING -j KUBE"]


def test_half_a_cut_is_mended_and_made_whole(node: Node) -> None:
    (node.folder / "kept" / "iptables").write_text(f"{OURS[1]}\n")
    assert node.does(network("cut")) == 0
    assert set(node.rules()) == set(OURS)
    assert node.does(network("mend")) == 0
    assert node.rules() == []


def test_a_node_with_an_address_of_version_6_is_cut_off_there_too(node: Node) -> None:
    node.has("ipv6")
    node.does(network("cut"))
    assert node.rules("ip6tables") == OURS
    node.does(network("mend"))
    assert node.rules("ip6tables") == []


def test_rules_that_cannot_be_looked_at_are_not_taken_for_gone(node: Node) -> None:
    node.does(network("cut"))
    node.has("locked")
    assert node.does(network("mend")) != 0
    assert node.does(network("cut")) != 0


def test_a_node_without_that_interface_is_not_cut_off_but_mended(node: Node) -> None:
    node.has("no-eth0")
    assert node.does(network("cut")) != 0
    assert node.rules() == []
    assert node.does(network("mend")) == 0


def test_a_faults_name_becomes_a_mark_that_iptables_does_not_quote() -> None:
    assert network("mend", "run.of me-1")["argv"][-1] == "chaos-run-of-me-1"


@pytest.mark.parametrize("unit", ["kubelet", "containerd"])
def test_a_service_is_stopped_and_started_and_each_may_be_done_twice(node: Node, unit: str) -> None:
    node.has("kubelet", "containerd")
    for do, active in (("stop", False), ("stop", False), ("start", True), ("start", True)):
        assert node.does(inside.unit("node-a", unit, do)) == 0
        assert len([*(node.folder / "kept").iterdir()]) == 1 + active
        assert (node.folder / "kept" / unit).exists() == active


def test_a_kubelet_that_does_not_come_up_is_not_healed(node: Node) -> None:
    node.has("broken")
    assert node.does(inside.unit("node-a", "kubelet", "start")) != 0


@pytest.mark.parametrize(
    ("effect", "undo"),
    [
        (network("cut"), network("mend")),
        (inside.unit("n", "kubelet", "stop"), inside.unit("n", "kubelet", "start")),
        (inside.pressure("n", "f", ["--x=1"]), inside.relief("n", "f")),
        (inside.pause("n", "etcd", "f", 5), inside.resume("n", "etcd", "f")),
    ],
)
def test_a_stopped_node_counts_as_undone_and_not_as_done(effect: Mapping[str, Any], undo: Mapping[str, Any]) -> None:
    assert undo["stopped"] == "healed"
    assert "stopped" not in effect


class Sleeper:
    """A process of a name of its own, longer than what the kernel keeps of it."""

    def __init__(self, folder: Path) -> None:
        self.name = f"z{os.getpid()}-component"
        program = folder / self.name
        shutil.copy(str(shutil.which("sleep")), program)
        self.process = subprocess.Popen([program, "600"])

    def state(self) -> str:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2][0]

    def until(self, state: str) -> None:
        deadline = time.monotonic() + 30
        while self.state() != state:
            assert time.monotonic() < deadline, self.state()


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Sleeper]:
    one = Sleeper(tmp_path)
    one.until("S")
    yield one
    one.process.kill()
    one.process.wait()


def timers(fault: str) -> list[str]:
    """Name the processes that would resume what a fault has paused."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"chaos-timer-{fault}".encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
    return found


def until(fault: str, count: int) -> None:
    """Wait until so many processes would resume what a fault has paused: one that starts another seems to be two."""
    deadline = time.monotonic() + 30
    while len(timers(fault)) != count:
        assert time.monotonic() < deadline, timers(fault)


def test_a_process_is_paused_and_resumed_and_its_timer_goes_with_it(node: Node, sleeper: Sleeper) -> None:
    fault = f"run-{os.getpid()}-1"
    assert node.does(inside.pause("node-a", sleeper.name, fault, 600)) == 0
    assert timers(fault)
    sleeper.until("T")
    until(fault, 1)
    assert timers(f"run-{os.getpid()}") == []
    for _ in range(2):
        assert node.does(inside.resume("node-a", sleeper.name, fault)) == 0
        sleeper.until("S")
    until(fault, 0)


def test_a_paused_process_goes_on_by_itself_when_its_time_is_over(node: Node, sleeper: Sleeper) -> None:
    fault = f"run-{os.getpid()}-2"
    assert node.does(inside.pause("node-a", sleeper.name, fault, 0.001)) == 0
    until(fault, 0)
    sleeper.until("S")


def test_without_its_timer_nothing_is_paused(node: Node, sleeper: Sleeper) -> None:
    (node.folder / "setsid").write_text("#!/bin/sh\nexit 1\n")
    (node.folder / "setsid").chmod(0o755)
    assert node.does(inside.pause("node-a", sleeper.name, "run-1", 600)) != 0
    assert sleeper.state() == "S"


def test_what_does_not_run_cannot_be_paused_and_counts_as_resumed(node: Node) -> None:
    assert node.does(inside.pause("node-a", f"no{os.getpid()}", "run-1", 600)) == 3
    assert timers("run-1") == []
    assert node.does(inside.resume("node-a", f"no{os.getpid()}", "run-1")) == 0
