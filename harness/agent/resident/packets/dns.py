"""Read the name that a DNS message asks for, and answer it wrongly (RFC 1035)."""

from __future__ import annotations

import ipaddress
import struct

CODES = {"SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}
A, AAAA = 1, 28
TTL_SECONDS = 1  # a wrong answer is forgotten soon after the fault
_HEADER = struct.Struct("!HHHHHH")
_RESPONSE, _CODE_MASK = 0x8000, 0xFFF0
_AUTHENTIC, _TRUNCATED = 0x0020, 0x0200


def question(message: bytes) -> tuple[str, int, int] | None:
    """Return the name asked for in lower case, its type and where the question ends; None where none is asked."""
    if len(message) < _HEADER.size or _HEADER.unpack_from(message)[2] != 1:
        return None
    at, labels = _HEADER.size, []
    while at < len(message) and message[at]:
        size = message[at]
        if size > 63:  # a pointer; there is nothing yet to point at
            return None
        labels.append(message[at + 1 : at + 1 + size].decode("ascii", "replace").lower())
        at += 1 + size
    if at + 5 > len(message):
        return None
    return ".".join(labels), int.from_bytes(message[at + 1 : at + 3], "big"), at + 5


def is_response(message: bytes) -> bool:
    """Say whether a message answers."""
    return len(message) >= _HEADER.size and bool(message[2] & 0x80)


def meant(name: str, names: tuple[str, ...]) -> bool:
    """Say whether a name is one of these or lies below one; none at all means every name."""
    return not names or any(name == one or name.endswith("." + one) for one in names)


def failing(message: bytes, end: int, code: int) -> bytes:
    """Turn an answer into one that fails."""
    return _answer(message, end, code, ())


def lying(message: bytes, end: int, kind: int, addresses: tuple[str, ...]) -> bytes:
    """Turn an answer into one that names these addresses; one that asks for something else gets none."""
    version = {A: 4, AAAA: 6}.get(kind)
    found = [ipaddress.ip_address(one) for one in addresses]
    return _answer(message, end, 0, tuple(one.packed for one in found if one.version == version), kind)


def _answer(message: bytes, end: int, code: int, records: tuple[bytes, ...], kind: int = A) -> bytes:
    identity, flags, *_ = _HEADER.unpack_from(message)
    flags = (flags & _CODE_MASK & ~(_AUTHENTIC | _TRUNCATED)) | _RESPONSE | code
    head = _HEADER.pack(identity, flags, 1, len(records), 0, 0)
    # 0xC00C points at the name in the question.
    body = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, TTL_SECONDS, len(data)) + data for data in records)
    return head + message[_HEADER.size : end] + body
