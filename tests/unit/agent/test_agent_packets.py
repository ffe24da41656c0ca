"""What a worker does to real packets between two real network namespaces."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from tests.unit.agent.lab import ADDRESSES, PEER, TARGET, Lab, arrived, working

HOLD = {"kind": "latency", "delay_ms": 60_000}
DROP = {"kind": "blackhole"}


def test_a_packet_is_held_while_those_of_other_ports_pass(lab: Lab):
    sender, held, free = lab.udp(TARGET), lab.udp(PEER), lab.udp(PEER)
    with working(lab, HOLD, {"protocol": "udp", "ports": [held.getsockname()[1]]}) as worker:
        sender.sendto(b"held", held.getsockname())
        sender.sendto(b"free", free.getsockname())
        assert free.recv(99) == b"free"
        assert worker.until(lambda told: told["holding"] == 1)["did"] == {"delayed": 1}
        assert arrived(held) == []
        assert not worker.end()["left"]
    assert held.recv(99) == b"held"


@pytest.mark.parametrize("family", [4, 6])
def test_nothing_passes_a_partition_and_the_sender_hears_of_no_error(lab: Lab, family: int):
    sender, receiver = lab.udp(TARGET, family), lab.udp(PEER, family)
    with working(lab, {"kind": "partition"}, {"peers": [ADDRESSES[PEER, family]]}) as worker:
        for _ in range(500):
            sender.sendto(b"x", receiver.getsockname())
            receiver.sendto(b"x", sender.getsockname())
        worker.until(lambda told: told["did"] == {"dropped": 1000})
        assert arrived(receiver) == arrived(sender) == []


def test_nothing_passes_a_partition_whose_worker_stands_still(lab: Lab):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    with working(lab, {"kind": "partition"}, {"peers": [ADDRESSES[PEER, 4]]}, room=4096) as worker:
        worker.process.send_signal(signal.SIGSTOP)
        for _ in range(2000):
            sender.sendto(b"x", receiver.getsockname())
        assert arrived(receiver) == []


@pytest.mark.parametrize("effect", [HOLD, DROP])
def test_packets_pass_at_once_when_the_worker_is_killed(lab: Lab, effect: dict):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    with working(lab, effect) as worker:
        sender.sendto(b"before", receiver.getsockname())
        worker.until(lambda told: told["seen"] == 1)
        worker.kill()
        sender.sendto(b"after", receiver.getsockname())
        assert receiver.recv(99) == b"after"
        assert lab.chains()


@pytest.mark.parametrize("how", ["end", "input", "lease", "time", "signal"])
def test_a_worker_that_ends_leaves_no_rule_and_drops_nothing(lab: Lab, how: str):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    short = {"lease": {"lease": 0.5}, "time": {"seconds": 0.5}}.get(how, {})
    with working(lab, HOLD, **short) as worker:
        # What ends by the clock may have done so by now.
        assert short or lab.chains()
        sender.sendto(b"held", receiver.getsockname())
        if how == "end":
            worker.tell({"end": "why"})
        elif how == "input":
            worker.process.stdin.close()
        elif how == "signal":
            worker.process.terminate()
        told = worker.hear("end")
        assert worker.process.wait() == 0
    assert not told["left"]
    assert lab.chains() == []
    assert receiver.recv(99) == b"held"


def test_the_next_worker_of_a_fault_removes_what_the_last_one_left(lab: Lab):
    with working(lab, HOLD) as first:
        first.kill()
        left = lab.chains()
        assert left
        with working(lab, HOLD) as second:
            assert lab.chains() == left
            second.end()
            assert lab.chains() == []


def test_what_the_socket_had_no_room_for_passes_and_is_counted(lab: Lab):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    with working(lab, HOLD, {"direction": "egress"}, room=4096) as worker:
        worker.process.send_signal(signal.SIGSTOP)
        for _ in range(200):
            sender.sendto(b"x", receiver.getsockname())
        assert receiver.recv(9) == b"x"
        worker.process.send_signal(signal.SIGCONT)
        told = worker.report()
        passed = told["missed"]
        assert [receiver.recv(9) for _ in range(passed - 1)] == [b"x"] * (passed - 1)
        assert arrived(receiver) == []
        assert told["seen"] == 200 - passed
        assert told["overflow"]["full"] > 0


def test_what_comes_beyond_the_limit_passes_and_is_counted(lab: Lab):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    with working(lab, HOLD, limit=10) as worker:
        for _ in range(30):
            sender.sendto(b"x", receiver.getsockname())
        told = worker.until(lambda told: told["seen"] == 30)
        assert (told["missed"], told["holding"]) == (20, 10)
        assert [receiver.recv(9) for _ in range(20)] == [b"x"] * 20
        assert arrived(receiver) == []


def test_a_sender_is_not_held_up_by_what_is_held(lab: Lab):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    sender.setblocking(False)
    # Far more than its buffer holds: each of these would be refused if the held ones were still charged to it.
    with working(lab, HOLD, {"direction": "egress"}) as worker:
        for number in range(1, 1001):
            sender.sendto(b"x" * 1000, receiver.getsockname())
            if number % 50 == 0:
                worker.until(lambda told, number=number: told["holding"] == number)
        assert arrived(receiver) == []


def test_an_interface_that_is_down_does_not_say_how_long_a_packet_may_be(lab: Lab):
    lab.idle_interface(1400)
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    with working(lab, HOLD, {"direction": "egress"}) as worker:
        sender.sendto(b"x" * 1450, receiver.getsockname())
        assert worker.until(lambda told: told["holding"] == 1)["overflow"]["waiting"] == 0


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("translated", [False, True])
@pytest.mark.parametrize("size", [10, 4000])
def test_what_is_held_goes_on_unchanged_wherever_it_waited(lab: Lab, family: int, translated: bool, size: int):
    sender, receiver = lab.udp(TARGET, family), lab.udp(PEER, family)
    if translated:
        lab.translate()
    with working(lab, HOLD) as worker:
        sender.sendto(b"x" * size, receiver.getsockname())
        worker.until(lambda told: told["holding"] >= 1)
        waiting = worker.report()["overflow"]["waiting"]
        assert (waiting == 0) == (not translated and size < 1500)
        assert arrived(receiver) == []
        worker.end()
    assert receiver.recv(size + 1) == b"x" * size


def test_where_there_is_only_the_older_iptables_it_serves_as_well(lab: Lab, tmp_path: Path, monkeypatch):
    programs = [f"{name}-legacy-{verb}" for name in ("iptables", "ip6tables") for verb in ("save", "restore")]
    found = {name: shutil.which(name) for name in programs}
    if not all(found.values()):
        pytest.skip("this machine has no iptables-legacy")
    for name, path in found.items():
        (tmp_path / name).symlink_to(str(path))
    monkeypatch.setenv("PATH", str(tmp_path))
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    with working(lab, HOLD) as worker:
        sender.sendto(b"x", receiver.getsockname())
        worker.until(lambda told: told["holding"] == 1)
        assert lab.chains()
        assert not worker.end()["left"]
        assert lab.chains() == []
    assert receiver.recv(9) == b"x"
