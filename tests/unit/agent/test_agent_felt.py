"""What two hosts feel of a fault: never less than was asked for. How much more is the machine's mood, and no test's."""

from __future__ import annotations

import time

import pytest

from harness.agent.resident.packets.effects import CREDIT_SECONDS
from tests.unit.agent.lab import PEER, TARGET, Lab, working

DELAY = 0.05
TCP = {"protocol": "tcp"}


def connecting(lab: Lab, family: int, asking: str, asked: str) -> float:
    """Connect from one side to the other, and return how many seconds that took."""
    server, client = lab.tcp(asked, family), lab.tcp(asking, family)
    server.listen()
    began = time.monotonic()
    client.connect(server.getsockname())
    return time.monotonic() - began


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("direction", "times"), [("egress", 1), ("ingress", 1), ("both", 2)])
@pytest.mark.parametrize(("asking", "asked"), [(PEER, TARGET), (TARGET, PEER)], ids=["asked", "asking"])
def test_a_connection_takes_at_least_the_delay_of_each_direction(
    lab: Lab, family: int, direction: str, times: int, asking: str, asked: str
):
    match = {**TCP, "direction": direction}
    with working(lab, {"kind": "latency", "delay_ms": DELAY * 1e3}, match) as worker:
        took = connecting(lab, family, asking, asked)
        assert worker.end()["missed"] == 0
    assert took >= DELAY * times


def test_a_delay_that_varies_is_never_shorter_than_its_shortest(lab: Lab):
    effect = {"kind": "latency", "delay_ms": DELAY * 1e3, "jitter_ms": 20, "correlation": 0.5}
    with working(lab, effect, {**TCP, "direction": "egress"}):
        assert min(connecting(lab, 4, PEER, TARGET) for _ in range(5)) >= DELAY - 0.02


@pytest.mark.parametrize(("sending", "receiving"), [(TARGET, PEER), (PEER, TARGET)], ids=["egress", "ingress"])
def test_no_more_passes_than_the_bandwidth(lab: Lab, sending: str, receiving: str):
    sender, receiver = lab.udp(sending), lab.udp(receiving)
    count, size, bits = 20, 1000, 1e6
    with working(lab, {"kind": "bandwidth", "bits_per_second": bits, "queue_ms": 10_000}):
        began = time.monotonic()
        for _ in range(count):
            sender.sendto(b"x" * size, receiver.getsockname())
        for _ in range(count):
            receiver.recv(size)
        took = time.monotonic() - began
    assert took >= count * size * 8 / bits - CREDIT_SECONDS
