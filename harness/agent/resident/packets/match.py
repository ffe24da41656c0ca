"""Which packets a fault is about."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.agent.resident.refused import Refused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
DIRECTIONS = ("egress", "ingress")
PROTOCOLS = ("tcp", "udp", "icmp")
_KEYS = ("direction", "peers", "spare", "protocol", "ports", "own_ports", "interfaces")
_LAST_PORT = 65535
_INTERFACE_BYTES = 15


@dataclass(frozen=True, slots=True)
class Match:
    """Packets between the target and its peers, as its own network namespace sees them; never loopback.

    `peers` empty means everyone, `spare` is left alone whatever else is said. `ports` are the peer's, `own_ports` the
    target's; a packet that has one of either is meant. `interfaces` empty means all but loopback.
    """

    directions: tuple[str, ...] = DIRECTIONS
    peers: tuple[Network, ...] = ()
    spare: tuple[Network, ...] = ()
    protocol: str = ""
    ports: tuple[int, ...] = ()
    own_ports: tuple[int, ...] = ()
    interfaces: tuple[str, ...] = ()

    def families(self) -> Iterator[int]:
        """Name the IP versions that can be meant."""
        for family in (4, 6):
            if not self.peers or any(peer.version == family for peer in self.peers):
                yield family


def read(found: Any) -> Match:
    """Read a match from plain data; raises Refused with what is wrong."""
    if not isinstance(found, dict) or set(found) - set(_KEYS):
        raise Refused("not a match", f"it holds {', '.join(_KEYS)} and nothing else")
    direction, protocol = found.get("direction", "both"), found.get("protocol", "")
    if direction not in (*DIRECTIONS, "both"):
        raise Refused(f"no direction {direction!r}", "egress, ingress or both")
    if protocol not in ("", *PROTOCOLS):
        raise Refused(f"no protocol {protocol!r}", ", ".join(PROTOCOLS))
    ports, own_ports = _ports(found, "ports"), _ports(found, "own_ports")
    if (ports or own_ports) and protocol not in ("tcp", "udp"):
        raise Refused("ports without a protocol", "ports are of tcp or of udp")
    return Match(
        directions=DIRECTIONS if direction == "both" else (direction,),
        peers=_networks(found, "peers"),
        spare=_networks(found, "spare"),
        protocol=protocol,
        ports=ports,
        own_ports=own_ports,
        interfaces=_interfaces(found),
    )


def _list(found: dict[str, Any], key: str) -> list[Any]:
    value = found.get(key, [])
    if not isinstance(value, list):
        raise Refused(f"{key} is not a list", repr(value))
    return value


def _networks(found: dict[str, Any], key: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(one) for one in _list(found, key))
    except ValueError as error:
        raise Refused(f"{key} holds no network", str(error)) from None


def _ports(found: dict[str, Any], key: str) -> tuple[int, ...]:
    values = _list(found, key)
    if any(type(port) is not int or not 0 < port <= _LAST_PORT for port in values):
        raise Refused(f"{key} holds no port", f"1 to {_LAST_PORT}")
    return tuple(values)


def _interfaces(found: dict[str, Any]) -> tuple[str, ...]:
    values = _list(found, "interfaces")
    for name in values:
        # What iptables would take for a pattern or an option is no name.
        plain = isinstance(name, str) and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        if not plain or name.startswith("-") or len(name) > _INTERFACE_BYTES or name == "lo":
            raise Refused(f"no interface {name!r}", "a name of at most 15 characters, never loopback")
    return tuple(values)
