"""What an effect is: from a packet and the time to its fate, and what it needs to decide that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from harness.agent.resident.packets.ip import Layers
from harness.agent.resident.packets.match import Match
from harness.agent.resident.packets.netlink import Packet
from harness.agent.resident.refused import Refused

WHOLE = 0xFFFF


class Fate(NamedTuple):
    """What becomes of one packet: when it goes on, whether, as what, and what is sent besides.

    `due` is in monotonic seconds, 0 at once. `what` names the effect in the worker's counts; it is empty for a packet
    that the effect let alone.
    """

    what: str = ""
    due: float = 0.0
    drop: bool = False
    payload: bytes | None = None
    sent: tuple[bytes, Layers] | None = None


ALONE = Fate()


@dataclass(frozen=True, slots=True)
class Effect:
    """What decides about packets, and how they are to be fetched.

    `copy` is how many bytes of each packet it reads. `large` takes a packet that is still to be cut into segments as
    one. `opens` lets pass what the queue has no room for, else it is dropped. `injects` needs raw sockets, `inwards`
    towards the target too. `carries` would rather have what the target sends out of the kernel while it waits.
    """

    decide: Callable[[Packet, float], Fate]
    match: Match
    copy: int = 0
    large: bool = False
    opens: bool = True
    injects: bool = False
    inwards: bool = False
    carries: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """What an effect is made from: its parameters, the fault's seed, the packets that are meant."""

    parameters: dict[str, Any]
    seed: str
    match: Match

    def random(self, direction: str) -> Random:
        """Return a source of chance for one direction, so that no packet of the other changes what it draws."""
        return Random(f"{self.seed}/{direction}")

    def only(self, *keys: str) -> None:
        """Refuse a parameter that the effect does not have."""
        strange = sorted(set(self.parameters) - {"kind", *keys})
        if strange:
            raise Refused(f"no parameter {', '.join(strange)}", f"there are {', '.join(keys) or 'none'}")


def both(make: Callable[[Random], Callable[[Packet, float], Fate]], order: Order) -> Callable[[Packet, float], Fate]:
    """Decide for each direction by itself."""
    egress, ingress = make(order.random("egress")), make(order.random("ingress"))
    return lambda packet, now: (egress if packet.egress else ingress)(packet, now)
