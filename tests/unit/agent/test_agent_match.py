"""Which packets a fault meets, between two real network namespaces."""

from __future__ import annotations

import socket

import pytest

from tests.unit.agent.lab import ADDRESSES, PEER, TARGET, Lab, arrived, working

DROP = {"kind": "blackhole"}
HERE, THERE = 7001, 7002
ELSEWHERE = "203.0.113.0/24"


@pytest.mark.parametrize(
    ("match", "out", "back"),
    [
        ({}, False, False),
        ({"direction": "egress"}, False, True),
        ({"direction": "ingress"}, True, False),
        ({"protocol": "udp"}, False, False),
        ({"protocol": "tcp"}, True, True),
        ({"protocol": "udp", "ports": [THERE]}, False, False),
        ({"protocol": "udp", "ports": [HERE]}, True, True),
        ({"protocol": "udp", "ports": [*range(100, 120), THERE]}, False, False),
        ({"protocol": "udp", "own_ports": [HERE]}, False, False),
        ({"protocol": "udp", "own_ports": [THERE]}, True, True),
        ({"protocol": "udp", "ports": [1], "own_ports": [HERE], "direction": "egress"}, False, True),
        ({"peers": [ADDRESSES[PEER, 4], ELSEWHERE]}, False, False),
        ({"peers": [ELSEWHERE]}, True, True),
        ({"spare": [ADDRESSES[PEER, 4]]}, True, True),
        ({"spare": [ELSEWHERE]}, False, False),
        ({"interfaces": ["eth0"]}, False, False),
        ({"interfaces": ["eth1"]}, True, True),
    ],
)
def test_what_is_meant_is_dropped_and_nothing_else(lab: Lab, match: dict, out: bool, back: bool):
    here, there = lab.udp(TARGET, port=HERE), lab.udp(PEER, port=THERE)
    with working(lab, DROP, {"protocol": "", **match}) as worker:
        here.sendto(b"out", there.getsockname())
        there.sendto(b"back", here.getsockname())
        if out:
            assert there.recv(9) == b"out"
        if back:
            assert here.recv(9) == b"back"
        # What came before it was asked has been judged when it answers.
        worker.report()
        assert (len(arrived(there)), len(arrived(here))) == (0, 0)


def test_loopback_is_never_met(lab: Lab):
    with working(lab, DROP) as worker:
        for family, kind in ((4, socket.AF_INET), (6, socket.AF_INET6)):
            own = lab.udp(TARGET, family)
            own.sendto(b"own address", own.getsockname())
            assert own.recv(99) == b"own address"
            loop = lab.inside(TARGET, lambda kind=kind: socket.socket(kind, socket.SOCK_DGRAM))
            with loop:
                loop.settimeout(30)
                loop.bind(("::1" if family == 6 else "127.0.0.1", 0))
                loop.sendto(b"loopback", loop.getsockname())
                assert loop.recv(99) == b"loopback"
        assert worker.report()["seen"] == 0


def test_neighbours_of_ipv6_are_still_found(lab: Lab):
    sender, receiver = lab.udp(TARGET, 6), lab.udp(PEER, 6)
    with working(lab, DROP, {"protocol": "icmp"}):
        sender.sendto(b"x", receiver.getsockname())
        assert receiver.recv(9) == b"x"


@pytest.mark.parametrize("netns", ["/run/netns/none-of-ours", "/etc/hostname"])
def test_a_worker_without_its_namespace_does_nothing(lab: Lab, netns: str):
    with pytest.raises(AssertionError, match=r"refused.*network namespace"), working(lab, DROP, netns=netns):
        pass
    assert lab.chains() == []


def test_a_name_that_would_be_an_option_is_refused(lab: Lab):
    with pytest.raises(AssertionError, match=r"refused.*no fault name"), working(lab, DROP, fault='x" -j ACCEPT'):
        pass
    assert lab.chains() == []


def test_an_interface_that_is_not_there_is_refused_with_those_that_are(lab: Lab):
    match = {"interfaces": ["eth0", "eth9"]}
    with pytest.raises(AssertionError, match=r"refused.*no interface eth9.*eth0, eth1"), working(lab, DROP, match):
        pass
    assert lab.chains() == []
