"""Effects that change packets or send more of them, between two real network namespaces."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from tests.unit.agent.lab import ADDRESSES, PEER, TARGET, WAIT_SECONDS, Lab, arrived, working

ALL = {"kind": "corruption", "share": 1}


def test_a_corrupted_packet_is_dropped_by_its_receiver_for_its_checksum(lab: Lab):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    with working(lab, ALL, {"direction": "egress"}) as worker:
        for size in (0, 1, 1000):
            sender.sendto(b"x" * size, receiver.getsockname())
        worker.until(lambda told: told["did"] == {"corrupted": 3})
        # The kernel looks at some checksums only when the packet is read.
        until = time.monotonic() + WAIT_SECONDS
        while lab.counter(PEER, "InCsumErrors") < 3 and time.monotonic() < until:
            assert arrived(receiver) == []
        assert lab.counter(PEER, "InCsumErrors") == 3


@pytest.mark.parametrize("family", [4, 6])
def test_a_duplicated_packet_arrives_twice_in_both_directions(lab: Lab, family: int):
    here, there = lab.udp(TARGET, family), lab.udp(PEER, family)
    with working(lab, {"kind": "duplication", "share": 1}) as worker:
        here.sendto(b"out", there.getsockname())
        there.sendto(b"in", here.getsockname())
        assert [there.recv(9), there.recv(9)] == [b"out", b"out"]
        assert [here.recv(9), here.recv(9)] == [b"in", b"in"]
        told = worker.report()
        assert told["did"] == {"duplicated": 2}
        assert "unsent" not in told


def test_the_same_seed_loses_the_same_packets(lab: Lab):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)

    def left(seed: str) -> list[bytes]:
        with working(lab, {"kind": "loss", "share": 0.5}, {"direction": "egress"}, seed=seed) as worker:
            for number in range(200):
                sender.sendto(str(number).encode(), receiver.getsockname())
            lost = worker.until(lambda told: told["seen"] == 200)["did"]["lost"]
            found = [receiver.recv(9) for _ in range(200 - lost)]
            assert arrived(receiver) == []
            return found

    first = left("1")
    assert 0 < len(first) < 200
    assert left("1") == first
    assert left("2") != first


def test_packets_that_are_held_back_are_overtaken(lab: Lab):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    with working(lab, {"kind": "reorder", "share": 0.5, "delay_ms": 60_000}, {"direction": "egress"}) as worker:
        for number in range(20):
            sender.sendto(bytes([number]), receiver.getsockname())
        held = worker.until(lambda told: told["seen"] == 20)["did"]["held_back"]
        first = [receiver.recv(9) for _ in range(20 - held)]
        assert arrived(receiver) == []
        worker.end()
    last = [receiver.recv(9) for _ in range(held)]
    assert sorted(first + last) == [bytes([number]) for number in range(20)]
    assert first + last != sorted(first + last)


def test_what_would_wait_too_long_for_a_narrow_line_is_dropped(lab: Lab):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    # 10028 bytes take 80 s: the next would wait longer than a second.
    with working(lab, {"kind": "bandwidth", "bits_per_second": 1000, "queue_ms": 1000}) as worker:
        for _ in range(3):
            sender.sendto(b"x" * 10_000, receiver.getsockname())
        assert worker.until(lambda told: told["seen"] == 3)["did"] == {"shaped": 1, "dropped": 2}


@pytest.mark.parametrize("direction", ["egress", "ingress", "both"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("speaks", [TARGET, PEER])
def test_a_reset_connection_is_reset_at_both_ends(lab: Lab, family: int, direction: str, speaks: str):
    server, client = lab.tcp(PEER, family), lab.tcp(TARGET, family)
    server.listen()
    with working(lab, {"kind": "reset"}, {"direction": direction, "protocol": "tcp"}) as worker:
        client.connect(server.getsockname())
        there, _ = server.accept()
        with there:
            there.settimeout(30)
            met = (speaks == TARGET) == (direction == "egress") or direction == "both"
            (client if speaks == TARGET else there).sendall(b"data")
            if not met:
                assert (there if speaks == TARGET else client).recv(9) == b"data"
                # The answer to it goes the other way, and is met.
                (there if speaks == TARGET else client).sendall(b"data")
            for end in (client, there):
                with pytest.raises(ConnectionResetError):
                    list(iter(lambda end=end: end.recv(9), b""))
        assert worker.report()["did"]["reset"] >= 1


def query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", 77, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def record(kind: int, data: bytes) -> bytes:
    return struct.pack("!HHHIH", 0xC00C, kind, 1, 300, len(data)) + data


@pytest.fixture
def ask(lab: Lab):
    """Ask a name server behind the fault, which knows one address, and return its answer's code and its records."""
    resolver, server = lab.udp(TARGET), lab.udp(PEER, port=53)

    def asking(name: str, kind: int = 1) -> tuple[int, bytes]:
        asked = query(name, kind)
        resolver.sendto(asked, server.getsockname())
        message, back = server.recvfrom(512)
        answer = message[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + message[12:]
        server.sendto(answer + record(1, bytes([192, 0, 2, 1])), back)
        heard = resolver.recv(512)
        assert heard[:2] == asked[:2]
        return heard[3] & 15, heard[len(asked) :]

    return asking


@pytest.mark.parametrize(("code", "number"), [("NXDOMAIN", 3), ("SERVFAIL", 2), ("REFUSED", 5)])
def test_a_name_does_not_resolve_and_others_do(lab: Lab, ask, code: str, number: int):
    with working(lab, {"kind": "dns_error", "code": code, "names": ["Registry.example."]}):
        assert ask("registry.example") == (number, b"")
        assert ask("a.registry.example") == (number, b"")
        assert ask("myregistry.example") == (0, record(1, bytes([192, 0, 2, 1])))


def test_a_name_resolves_to_a_wrong_address(lab: Lab, ask):
    with working(lab, {"kind": "dns_wrong", "addresses": ["203.0.113.9", "2001:db8::9"]}):
        assert ask("any.example")[1][12:] == socket.inet_aton("203.0.113.9")
        assert ask("any.example", 28)[1][12:] == socket.inet_pton(socket.AF_INET6, "2001:db8::9")
        assert ask("any.example", 15) == (0, b"")


def test_a_query_waits_and_others_do_not(lab: Lab):
    resolver, server = lab.udp(TARGET), lab.udp(PEER, port=53)
    with working(lab, {"kind": "dns_delay", "delay_ms": 60_000, "names": ["slow.example"]}) as worker:
        resolver.sendto(query("slow.example"), server.getsockname())
        resolver.sendto(query("fast.example"), server.getsockname())
        assert server.recv(512) == query("fast.example")
        worker.end()
    assert server.recv(512) == query("slow.example")


def test_two_faults_meet_the_same_packets(lab: Lab):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    twice, hold = {"kind": "duplication", "share": 1}, {"kind": "latency", "delay_ms": 60_000}
    with working(lab, twice), working(lab, hold, fault="run-1/fault-2", mark=1 << 29) as holding:
        sender.sendto(b"x", receiver.getsockname())
        holding.until(lambda told: told["holding"] == 2)
        assert arrived(receiver) == []


def test_peers_are_meant_by_their_own_addresses(lab: Lab):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    for family, address in ((4, "203.0.113.0/24"), (6, ADDRESSES[PEER, 6])):
        with working(lab, {"kind": "partition"}, {"peers": [address]}) as worker:
            sender.sendto(b"x", receiver.getsockname())
            assert receiver.recv(9) == b"x", family
            assert worker.report()["seen"] == 0
