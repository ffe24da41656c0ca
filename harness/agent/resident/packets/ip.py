"""Read the headers of a packet, and write it anew: cut short, turned round, or with a bit that fell over."""

from __future__ import annotations

import struct
from random import Random
from typing import NamedTuple

TCP, UDP = 6, 17
FIN, SYN, RST, ACK = 1, 2, 4, 16
_CHECKSUM_AT = {TCP: 16, UDP: 6}
_HEADER_BYTES = {TCP: 20, UDP: 8}
_FRAGMENT, _EXTENSIONS = 44, (0, 43, 60)
_V4_BYTES, _V6_BYTES = 20, 40
_TCP = struct.Struct("!HHIIBBHHH")


class Layers(NamedTuple):
    """Where things lie in a packet: its IP version, its addresses, where the protocol's header and its data begin."""

    version: int
    source: bytes
    target: bytes
    protocol: int
    header: int
    data: int


def layers(packet: bytes) -> Layers | None:
    """Find what lies where; None for a fragment without a header, and for what is cut or of another protocol."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= _V4_BYTES:
        protocol, header = packet[9], (packet[0] & 15) * 4
        if int.from_bytes(packet[6:8], "big") & 0x1FFF:
            return None
        source, target = packet[12:16], packet[16:20]
    elif version == 6 and len(packet) >= _V6_BYTES:
        found = _behind_extensions(packet)
        if found is None:
            return None
        protocol, header = found
        source, target = packet[8:24], packet[24:40]
    else:
        return None
    if protocol not in _HEADER_BYTES or len(packet) < header + _HEADER_BYTES[protocol]:
        return None
    data = header + ((packet[header + 12] >> 4) * 4 if protocol == TCP else _HEADER_BYTES[UDP])
    return Layers(version, source, target, protocol, header, min(data, len(packet)))


def _behind_extensions(packet: bytes) -> tuple[int, int] | None:
    protocol, at = packet[6], _V6_BYTES
    while protocol in _EXTENSIONS and at + 8 <= len(packet):
        protocol, at = packet[at], at + 8 + packet[at + 1] * 8
    return None if protocol == _FRAGMENT else (protocol, at)


def flipped(packet: bytes, found: Layers | None, random: Random) -> bytes | None:
    """Turn one bit of the data over and leave the checksum as it was; without data it is a bit of the checksum.

    Addresses and ports stay, so that nobody else gets the packet. None for a packet in which neither can be found.
    """
    if found is None:
        return None
    first, count = found.data, len(packet) - found.data
    if count <= 0:
        first, count = found.header + _CHECKSUM_AT[found.protocol], 2
    at, bit = first + random.randrange(count), 1 << random.randrange(8)
    return packet[:at] + bytes([packet[at] ^ bit]) + packet[at + 1 :]


def reset(packet: bytes, found: Layers) -> bytes:
    """Make of a TCP segment one that resets the connection at whom it is for."""
    source, target, sequence, *_ = _TCP.unpack_from(packet, found.header)
    return _resetting(packet, found, found.source, found.target, (source, target), sequence)


def reset_back(packet: bytes, found: Layers) -> bytes:
    """Make the segment that resets the connection at whom this one is from."""
    source, target, _, acknowledged, *_ = _TCP.unpack_from(packet, found.header)
    return _resetting(packet, found, found.target, found.source, (target, source), acknowledged)


def _resetting(
    packet: bytes, found: Layers, source: bytes, target: bytes, ports: tuple[int, int], sequence: int
) -> bytes:
    segment = _TCP.pack(*ports, sequence, 0, 5 << 4, RST, 0, 0, 0)
    return _whole(packet, found._replace(source=source, target=target), segment)


def answer(packet: bytes, found: Layers, data: bytes) -> bytes:
    """Give a UDP packet other data."""
    head = packet[found.header : found.header + 4] + struct.pack("!HH", 8 + len(data), 0)
    return _whole(packet, found, head + data)


def _whole(packet: bytes, found: Layers, segment: bytes) -> bytes:
    """Put addresses before a segment, and lengths and checksums right; options and extensions are left out."""
    pseudo = found.source + found.target + struct.pack("!II", len(segment), found.protocol)
    at = _CHECKSUM_AT[found.protocol]
    # A UDP checksum of 0 would say that there is none.
    total = checksum(pseudo + segment) or 0xFFFF
    segment = segment[:at] + struct.pack("!H", total) + segment[at + 2 :]
    if found.version == 6:
        head = packet[:4] + struct.pack("!HBB", len(segment), found.protocol, packet[7])
        return head + found.source + found.target + segment
    head = struct.pack("!BBH", 0x45, packet[1], _V4_BYTES + len(segment)) + packet[4:9]
    head += bytes([found.protocol, 0, 0]) + found.source + found.target
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + segment


def checksum(data: bytes) -> int:
    """Sum as the Internet does (RFC 1071): the one's complement sum of 16-bit words is the number modulo 65535."""
    total = int.from_bytes(data + b"\0" * (len(data) % 2), "big")
    return 0xFFFF - (total % 0xFFFF or (0xFFFF if total else 0))
