"""What a worker is told: read, refused where it makes no sense, and what chance makes of it."""

from __future__ import annotations

import statistics
from itertools import pairwise
from random import Random

import pytest

from harness.agent.resident.packets import effects, ip, rules, spec
from harness.agent.resident.packets.chance import Chance, Spread
from harness.agent.resident.packets.quantiles import Quantiles
from harness.agent.resident.refused import Refused

DROP = {"kind": "blackhole"}
DRAWS = 20_000


@pytest.mark.parametrize(
    ("effect", "match", "more", "what"),
    [
        ({"kind": "latency", "delay_ms": -1}, {}, {}, "delay_ms is -1"),
        ({"kind": "latency", "delay_ms": 0}, {}, {}, "delay_ms is 0"),
        ({"kind": "latency", "delay_ms": 5, "jitter_ms": 6}, {}, {}, "jitter_ms is above delay_ms"),
        ({"kind": "latency", "delay_ms": 5, "correlation": 1}, {}, {}, "correlation is 1"),
        ({"kind": "latency", "delay": 5}, {}, {}, "no parameter delay"),
        ({"kind": "latency", "delay_ms": True}, {}, {}, "delay_ms is True"),
        ({"kind": "loss", "share": 1.1}, {}, {}, "share is 1.1"),
        ({"kind": "loss", "share": 0}, {}, {}, "share is 0"),
        ({"kind": "partition"}, {}, {}, "a partition without peers"),
        ({"kind": "reset"}, {"protocol": "udp"}, {}, "a reset of something else"),
        ({"kind": "dns_error", "code": "NOERROR"}, {}, {}, "no DNS error"),
        ({"kind": "dns_error"}, {"protocol": "tcp"}, {}, "an effect on DNS"),
        ({"kind": "dns_wrong", "addresses": ["x"]}, {}, {}, "addresses holds no address"),
        ({"kind": "dns_wrong"}, {}, {}, "a wrong answer without addresses"),
        ({"kind": "slow"}, {}, {}, "no effect 'slow'"),
        (DROP, {"ports": [80]}, {}, "ports without a protocol"),
        (DROP, {"protocol": "icmp", "ports": [80]}, {}, "ports without a protocol"),
        (DROP, {"protocol": "tcp", "ports": [70000]}, {}, "ports holds no port"),
        (DROP, {"peers": ["10.0.0.1/8"]}, {}, "peers holds no network"),
        (DROP, {"peers": "10.0.0.0/8"}, {}, "peers is not a list"),
        (DROP, {"direction": "out"}, {}, "no direction"),
        (DROP, {"interfaces": ["lo"]}, {}, "no interface 'lo'"),
        (DROP, {"interfaces": ["-j ACCEPT"]}, {}, "no interface"),
        (DROP, {"interfaces": ["eth+"]}, {}, "no interface"),
        (DROP, {"peer": []}, {}, "not a match"),
        (DROP, {}, {"fault": 'x" -j ACCEPT'}, "no fault name"),
        (DROP, {}, {"mark": 3}, "no mark"),
        (DROP, {}, {"lease": 0}, "lease is 0"),
        (DROP, {}, {"netns": "target"}, "no network namespace"),
        (DROP, {}, {"colour": "red"}, "not an order"),
    ],
)
def test_what_makes_no_sense_is_refused(effect: dict, match: dict, more: dict, what: str):
    order = {"fault": "f", "netns": "/run/netns/x", "lease": 15, "seconds": 60, "effect": effect, "match": match}
    with pytest.raises(Refused) as refused:
        effects.make(spec.read(order | more))
    assert what in str(refused.value)


@pytest.mark.parametrize("correlation", [0, 0.5, 0.9])
def test_a_share_is_kept_whatever_its_correlation(correlation: float):
    chance = Chance(Random(1), 0.1, correlation)
    drawn = [chance() for _ in range(DRAWS)]
    # The standard error of a correlated mean is wider by the root of (1 + r) / (1 - r).
    error = (0.09 / DRAWS * (1 + correlation) / (1 - correlation)) ** 0.5
    assert abs(sum(drawn) / DRAWS - 0.1) < 4 * error
    again = [b for a, b in pairwise(drawn) if a]
    assert sum(again) / len(again) == pytest.approx(0.1 + 0.9 * correlation, abs=0.05)


@pytest.mark.parametrize("correlation", [0, 0.9])
def test_a_spread_reaches_from_end_to_end_evenly(correlation: float):
    spread = Spread(Random(1), correlation)
    drawn = [spread() for _ in range(DRAWS)]
    assert -1 <= min(drawn) < -0.95
    assert 0.95 < max(drawn) <= 1
    assert statistics.fmean(drawn) == pytest.approx(0, abs=0.1)
    assert statistics.pstdev(drawn) == pytest.approx(3**-0.5, abs=0.05)
    alike = statistics.correlation(drawn[:-1], drawn[1:])
    assert alike == pytest.approx(correlation, abs=0.05)


def test_quantiles_are_within_a_hundredth():
    quantiles = Quantiles()
    assert quantiles.told() == {}
    for ms in range(1, 1001):
        quantiles.add(ms / 1e3)
    told = quantiles.told()
    assert told["p50"] == pytest.approx(500, rel=0.011)
    assert told["p99"] == pytest.approx(990, rel=0.011)
    assert told["max"] == 1000


def test_the_name_of_a_chain_is_short_enough_and_the_faults_own():
    long, other = "run-1/" + "x" * 190, "run-1/" + "x" * 189
    assert len(rules.chain(long)) + 1 <= 28
    assert rules.chain(long) != rules.chain(other)


def test_only_what_leads_to_a_meant_chain_is_deleted(monkeypatch):
    order = {"fault": "a/1", "netns": "/x", "lease": 1, "seconds": 1, "effect": DROP}
    ours, other = rules.chain("a/1"), rules.chain("b/1")
    saved = rules.render("a/1", spec.read(order).match, 1, 7, 4).replace("COMMIT\n", "")
    saved += rules.render("b/1", spec.read(order).match, 1, 8, 4) + "-A PREROUTING -j ACCEPT\n"
    deleted = list(rules._deletions(saved, lambda name: name.startswith(ours)))
    assert len(deleted) == 6
    assert not any(other in line or "ACCEPT" in line for line in deleted)


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xff", b"\1", bytes(range(255))])
def test_a_checksum_is_that_of_rfc_1071(data: bytes):
    padded = data + b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    assert ip.checksum(data) == 0xFFFF - total


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_a_packet_that_is_cut_is_read_or_left_alone(cut: int):
    whole = bytes([0x45, 0, 0, 60, 0, 0, 0, 0, 64, 6, 0, 0, *range(8)]) + bytes(12) + bytes([0xF0]) + bytes(27)
    found = ip.layers(whole[:cut])
    assert (found is None) == (cut < 40)
    assert found is None or found.data <= cut
