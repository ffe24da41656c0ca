"""Effects that change packets, or send more of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from random import Random

from harness.agent.resident.packets import dns, ip
from harness.agent.resident.packets.chance import Chance
from harness.agent.resident.packets.fate import ALONE, WHOLE, Effect, Fate, Order, both
from harness.agent.resident.packets.match import Match
from harness.agent.resident.packets.netlink import Packet
from harness.agent.resident.packets.spec import number
from harness.agent.resident.refused import Refused

DNS_PORT = 53
LONGEST_MS = 60_000.0
Decide = Callable[[Packet, float], Fate]


def share(order: Order) -> float:
    """Read the share of packets that are hit, above 0 and at most 1; raises Refused."""
    found = number(order.parameters, "share", 0, 1)
    if found == 0:
        raise Refused("share is 0", "that is no fault")
    return found


def corruption(order: Order) -> Effect:
    """Turn one bit over in a `share` of the TCP and UDP packets; their checksums stay as they were.

    So does a bad wire: the receiver's kernel drops the packet and counts a checksum error, the sender sends it again.
    An application sees changed data only where there is no checksum.
    """
    order.only("share")
    part = share(order)

    def decide_with(random: Random) -> Decide:
        chance = Chance(random, part)

        def decide(packet: Packet, _: float) -> Fate:
            if not chance():
                return ALONE
            changed = ip.flipped(packet.payload, ip.layers(packet.payload), random)
            return ALONE if changed is None else Fate("corrupted", payload=changed)

        return decide

    return Effect(both(decide_with, order), order.match, copy=WHOLE)


def duplication(order: Order) -> Effect:
    """Send a `share` of the TCP and UDP packets twice."""
    order.only("share")
    part = share(order)

    def decide_with(random: Random) -> Decide:
        chance = Chance(random, part)

        def decide(packet: Packet, _: float) -> Fate:
            if not chance():
                return ALONE
            found = ip.layers(packet.payload)
            return ALONE if found is None else Fate("duplicated", sent=(packet.payload, found))

        return decide

    inwards = "ingress" in order.match.directions
    return Effect(both(decide_with, order), order.match, copy=WHOLE, injects=True, inwards=inwards)


def reset(order: Order) -> Effect:
    """Reset TCP connections at both ends as soon as one of them sends data or closes; the handshake passes."""
    order.only()
    if order.match.protocol not in ("", "tcp"):
        raise Refused("a reset of something else than TCP", order.match.protocol)

    def decide(packet: Packet, _: float) -> Fate:
        found = ip.layers(packet.payload)
        if found is None or found.protocol != ip.TCP:
            return ALONE
        flags = packet.payload[found.header + 13]
        if flags & (ip.RST | ip.SYN) or (len(packet.payload) == found.data and not flags & ip.FIN):
            return ALONE
        back = found._replace(source=found.target, target=found.source)
        sent = (ip.reset_back(packet.payload, found), back)
        return Fate("reset", payload=ip.reset(packet.payload, found), sent=sent)

    match = replace(order.match, protocol="tcp")
    inwards = "egress" in order.match.directions
    return Effect(decide, match, copy=WHOLE, injects=True, inwards=inwards)


def dns_delay(order: Order) -> Effect:
    """Hold queries for these `names`, or all, for `delay_ms`; over UDP only, as with every effect on DNS."""
    order.only("delay_ms", "names")
    delay, names = number(order.parameters, "delay_ms", 0.1, LONGEST_MS) / 1e3, _names(order)

    def decide(packet: Packet, now: float) -> Fate:
        found = _asked(packet)
        if found is None or not dns.meant(found[1][0], names):
            return ALONE
        return Fate("delayed", now + delay)

    return Effect(decide, _port(order, "egress"), copy=WHOLE)


def dns_error(order: Order) -> Effect:
    """Answer queries for these `names`, or all, with the error `code`, whatever the server said."""
    order.only("code", "names")
    code = order.parameters.get("code", "NXDOMAIN")
    if code not in dns.CODES:
        raise Refused(f"no DNS error {code!r}", ", ".join(sorted(dns.CODES)))
    number_of_code = dns.CODES[code]
    return _answering(order, lambda message, end, _: dns.failing(message, end, number_of_code))


def dns_wrong(order: Order) -> Effect:
    """Answer queries for these `names`, or all, with these `addresses`, whatever the server said."""
    order.only("addresses", "names")
    addresses = order.parameters.get("addresses")
    try:
        found = tuple(str(ipaddress.ip_address(one)) for one in addresses or ())
    except (ValueError, TypeError) as error:
        raise Refused("addresses holds no address", str(error)) from None
    if not found:
        raise Refused("a wrong answer without addresses", "say which")
    return _answering(order, lambda message, end, kind: dns.lying(message, end, kind, found))


def _answering(order: Order, make: Callable[[bytes, int, int], bytes]) -> Effect:
    names = _names(order)

    def decide(packet: Packet, _: float) -> Fate:
        found = _asked(packet)
        if found is None:
            return ALONE
        layers, (name, kind, end) = found
        message = packet.payload[layers.data :]
        if not dns.is_response(message) or not dns.meant(name, names):
            return ALONE
        return Fate("answered", payload=ip.answer(packet.payload, layers, make(message, end, kind)))

    return Effect(decide, _port(order, "ingress"), copy=WHOLE)


def _asked(packet: Packet) -> tuple[ip.Layers, tuple[str, int, int]] | None:
    layers = ip.layers(packet.payload)
    if layers is None or layers.protocol != ip.UDP:
        return None
    question = dns.question(packet.payload[layers.data :])
    return None if question is None else (layers, question)


def _names(order: Order) -> tuple[str, ...]:
    found = order.parameters.get("names", [])
    if not isinstance(found, list) or not all(isinstance(one, str) and one.strip(".") for one in found):
        raise Refused("names holds no name", repr(found))
    return tuple(one.strip(".").lower() for one in found)


def _port(order: Order, direction: str) -> Match:
    if order.match.protocol not in ("", "udp") or order.match.own_ports:
        raise Refused(
            "an effect on DNS that names other packets", "its packets are UDP from and to the servers' port 53"
        )
    return replace(order.match, directions=(direction,), protocol="udp", ports=order.match.ports or (DNS_PORT,))


KINDS: dict[str, Callable[[Order], Effect]] = {
    "corruption": corruption,
    "duplication": duplication,
    "reset": reset,
    "dns_delay": dns_delay,
    "dns_error": dns_error,
    "dns_wrong": dns_wrong,
}
