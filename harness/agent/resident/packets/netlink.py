"""Write and read the messages of a netfilter queue, as linux/netfilter/nfnetlink_queue.h lays them out."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

NETLINK_NETFILTER = 12
DROP, REPEAT = 0, 4
PRE_ROUTING, POST_ROUTING = 0, 4
FAIL_OPEN, LARGE = 1, 4  # NFQA_CFG_F_FAIL_OPEN, NFQA_CFG_F_GSO
MARK_MASK = 0xFFFFFFFF

_SUBSYSTEM = 3 << 8
_PACKET, _VERDICT, _CONFIG = _SUBSYSTEM, _SUBSYSTEM | 1, _SUBSYSTEM | 2
_ERROR = 2
_REQUEST, _ACK = 1, 4
_BIND = 1
_COPY_META, _COPY_PACKET = 1, 2
_CFG_COMMAND, _CFG_PARAMS, _CFG_LENGTH, _CFG_MASK, _CFG_FLAGS = 1, 2, 3, 4, 5
_PACKET_HEADER, _VERDICT_HEADER, _MARK, _PAYLOAD, _CAPTURED = 1, 2, 3, 10, 13
_TYPE_BITS = 0x3FFF

_MESSAGE = struct.Struct("=IHHII")
_GENERAL = struct.Struct("!BBH")
_ATTRIBUTE = struct.Struct("=HH")
_WORD = struct.Struct("!I")
_HEADER = struct.Struct("!IHB")
_JUDGED = struct.Struct("!II")
_FIRST = _MESSAGE.size + _GENERAL.size


class Packet(NamedTuple):
    """One packet that waits for its verdict; `payload` begins with the IP header and may be cut, `length` is not."""

    id: int
    hook: int
    mark: int
    length: int
    payload: bytes

    @property
    def egress(self) -> bool:
        """Say whether the target sent it."""
        return self.hook == POST_ROUTING


class Refusal(NamedTuple):
    """What the kernel answered to a message that it refused; 0 acknowledges one."""

    errno: int


def bind(queue: int) -> bytes:
    """Ask to own a queue."""
    return _message(_CONFIG, queue, _attribute(_CFG_COMMAND, struct.pack("!BBH", _BIND, 0, 0)), _REQUEST | _ACK)


def configure(queue: int, copy: int, length: int, flags: int) -> bytes:
    """Say how many bytes of each packet to copy, how many packets may wait, and what becomes of one too many."""
    mode = _COPY_PACKET if copy else _COPY_META
    attributes = (
        _attribute(_CFG_PARAMS, struct.pack("!IB", copy, mode)),
        _attribute(_CFG_LENGTH, _WORD.pack(length)),
        _attribute(_CFG_MASK, _WORD.pack(FAIL_OPEN | LARGE)),
        _attribute(_CFG_FLAGS, _WORD.pack(flags)),
    )
    return _message(_CONFIG, queue, b"".join(attributes), _REQUEST | _ACK)


def verdict(queue: int, packet: int, what: int, mark: int = 0, payload: bytes | None = None) -> bytes:
    """Judge one packet; `mark`, unless 0, and `payload`, unless None, replace its own."""
    body = _attribute(_VERDICT_HEADER, _JUDGED.pack(what, packet))
    if mark:
        body += _attribute(_MARK, _WORD.pack(mark & MARK_MASK))
    if payload is not None:
        body += _attribute(_PAYLOAD, payload)
    return _message(_VERDICT, queue, body, _REQUEST)


def parse(data: bytes) -> Iterator[Packet | Refusal]:
    """Read what one receive brought."""
    at, end = 0, len(data)
    while at + _MESSAGE.size <= end:
        size, kind, _, _, _ = _MESSAGE.unpack_from(data, at)
        if size < _MESSAGE.size:
            return
        if kind == _PACKET:
            yield _packet(data, at + _FIRST, min(at + size, end))
        elif kind == _ERROR:
            yield Refusal(-struct.unpack_from("=i", data, at + _MESSAGE.size)[0])
        at += (size + 3) & ~3


def _packet(data: bytes, at: int, end: int) -> Packet:
    identity = hook = mark = captured = 0
    payload = b""
    while at + 4 <= end:
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        kind &= _TYPE_BITS
        if size < 4:
            break
        if kind == _PACKET_HEADER:
            identity, _, hook = _HEADER.unpack_from(data, at + 4)
        elif kind == _MARK:
            (mark,) = _WORD.unpack_from(data, at + 4)
        elif kind == _CAPTURED:
            (captured,) = _WORD.unpack_from(data, at + 4)
        elif kind == _PAYLOAD:
            payload = data[at + 4 : at + size]
        at += (size + 3) & ~3
    return Packet(identity, hook, mark, captured or len(payload), payload)


def _attribute(kind: int, data: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def _message(kind: int, queue: int, body: bytes, flags: int) -> bytes:
    head = _MESSAGE.pack(_FIRST + len(body), kind, flags, 0, 0)
    return head + _GENERAL.pack(0, 0, queue) + body
