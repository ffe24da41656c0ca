"""Effects that leave packets as they are: late, out of order, too many, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from harness.agent.resident.packets import altering
from harness.agent.resident.packets.chance import Chance, Spread
from harness.agent.resident.packets.fate import ALONE, Effect, Fate, Order, both
from harness.agent.resident.packets.netlink import Packet
from harness.agent.resident.packets.spec import Spec, number
from harness.agent.resident.refused import Refused

LONGEST_MS = 60_000.0
MOST_CORRELATION = 0.99
LEAST_BITS, MOST_BITS = 1e3, 1e11
QUEUE_MS = 200.0
CREDIT_SECONDS = 0.02
SMOOTH_BITS = 2e7  # up to here packets come as they are on the wire; 64 kB at once would be half a second of 1 Mbit/s
_HEADERS = 128  # enough for the length of a packet to be told
Decide = Callable[[Packet, float], Fate]


def make(spec: Spec) -> Effect:
    """Make the effect that a worker was told; raises Refused."""
    kind = spec.effect.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Refused(f"no effect {kind!r}", ", ".join(sorted(KINDS)))
    return KINDS[kind](Order(spec.effect, spec.seed, spec.match))


def latency(order: Order) -> Effect:
    """Hold every packet for `delay_ms`, give or take `jitter_ms`; neighbours vary alike by `correlation`.

    As with netem, packets that follow each other closer than the jitter may overtake one another.
    """
    order.only("delay_ms", "jitter_ms", "correlation")
    delay = number(order.parameters, "delay_ms", 0, LONGEST_MS) / 1e3
    jitter = number(order.parameters, "jitter_ms", 0, LONGEST_MS, 0) / 1e3
    correlation = number(order.parameters, "correlation", 0, MOST_CORRELATION, 0)
    if jitter > delay:
        raise Refused(
            f"jitter_ms is above delay_ms ({jitter * 1e3:g} > {delay * 1e3:g})", "no packet leaves before it came"
        )
    if delay == 0:
        raise Refused("delay_ms is 0", "that is no fault")

    def decide_with(random: Random) -> Decide:
        spread = Spread(random, correlation)
        if jitter:
            return lambda _, now: Fate("delayed", now + delay + jitter * spread())
        return lambda _, now: Fate("delayed", now + delay)

    return Effect(both(decide_with, order), order.match, large=True, carries=True)


def loss(order: Order) -> Effect:
    """Lose a `share` of the packets, as they are on the wire; losses come in bursts by `correlation`."""
    order.only("share", "correlation")
    share = altering.share(order)
    correlation = number(order.parameters, "correlation", 0, MOST_CORRELATION, 0)

    def decide_with(random: Random) -> Decide:
        chance, lost = Chance(random, share, correlation), Fate("lost", drop=True)
        return lambda _, __: lost if chance() else ALONE

    return Effect(both(decide_with, order), order.match)


def reorder(order: Order) -> Effect:
    """Hold back a `share` of the packets for `delay_ms`, so that those behind overtake them."""
    order.only("share", "delay_ms")
    share = altering.share(order)
    delay = number(order.parameters, "delay_ms", 0.1, LONGEST_MS) / 1e3

    def decide_with(random: Random) -> Decide:
        chance = Chance(random, share)
        return lambda _, now: Fate("held_back", now + delay) if chance() else ALONE

    return Effect(both(decide_with, order), order.match, carries=True)


def bandwidth(order: Order) -> Effect:
    """Let `bits_per_second` pass in each direction; what would wait longer than `queue_ms` is dropped."""
    order.only("bits_per_second", "queue_ms")
    rate = number(order.parameters, "bits_per_second", LEAST_BITS, MOST_BITS) / 8
    longest = number(order.parameters, "queue_ms", 1, LONGEST_MS, QUEUE_MS) / 1e3

    def decide_with(_: Random) -> Decide:
        free = 0.0

        def decide(packet: Packet, now: float) -> Fate:
            nonlocal free
            # A line that stood idle for a moment, because this process was late, may make up for it.
            begins = max(free, now - CREDIT_SECONDS)
            if begins - now > longest:
                return Fate("dropped", drop=True)
            free = begins + packet.length / rate
            return Fate("shaped", free)

        return decide

    return Effect(both(decide_with, order), order.match, copy=_HEADERS, large=rate * 8 > SMOOTH_BITS)


def partition(order: Order) -> Effect:
    """Drop whatever passes between the target and the named peers, in silence."""
    if not order.match.peers:
        raise Refused("a partition without peers", "say from whom; from everyone is a blackhole")
    return blackhole(order)


def blackhole(order: Order) -> Effect:
    """Drop whatever matches, in silence: no error for the sender, which a rule that drops would bring.

    What the queue has no room for is dropped as well, so nothing passes under any load while the worker lives.
    """
    order.only()
    dropped = Fate("dropped", drop=True)
    return Effect(lambda _, __: dropped, order.match, large=True, opens=False)


KINDS: dict[str, Callable[[Order], Effect]] = {
    "latency": latency,
    "loss": loss,
    "reorder": reorder,
    "bandwidth": bandwidth,
    "partition": partition,
    "blackhole": blackhole,
    **altering.KINDS,
}
