"""A certificate as it is written (X.509 in DER, PEM around it): when it ends, and the same one as if it had ended.

Only the dates are others, so the signature fits no more. Whoever serves it notices nothing: key and certificate belong
together as before. Nobody has to know the key, and no library that makes certificates is needed.
"""

from __future__ import annotations

import base64
import binascii
import re
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\s*", re.DOTALL)
AGO = timedelta(days=1)
_SEQUENCE, _VERSION, _UTC, _GENERALIZED = 0x30, 0xA0, 0x17, 0x18
# Where the dates stand in what is signed (RFC 5280, 4.1): after serial number, algorithm and issuer, and the version.
_DATES = 3
Element = tuple[int, bytes]


def first(chain: str) -> bytes:
    """Return the first certificate of a chain, which is the server's own; raises ValueError without one."""
    found = FIRST.search(chain)
    if found is None:
        raise ValueError("it holds no certificate")
    try:
        return base64.b64decode("".join(found[0].split("-----")[2].split()), validate=True)
    except binascii.Error:
        raise ValueError("its certificate is not written in base 64") from None


def ends(certificate: bytes) -> datetime:
    """Return until when a certificate is valid; raises ValueError for what is none."""
    return _dates(certificate)[1]


def expired(chain: str, now: datetime) -> str:
    """Return a chain whose first certificate ended a day ago, for as long valid as it was; raises ValueError."""
    certificate = first(chain)
    begin, end = _dates(certificate)
    to = now.replace(microsecond=0) - AGO
    dates = _wrapped(_SEQUENCE, b"".join(_written(one) for one in (to - (end - begin), to)))
    signed, *rest = _elements(_content(certificate))
    inner = [_wrapped(*one) for one in _elements(signed[1])]
    inner[_place(signed[1])] = dates
    made = _wrapped(_SEQUENCE, _wrapped(_SEQUENCE, b"".join(inner)) + b"".join(_wrapped(*one) for one in rest))
    lines = textwrap.fill(base64.b64encode(made).decode(), 64)
    return FIRST.sub(f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n", chain, count=1)


def decoded(value: str | None) -> str:
    """Return the text of a Secret's value; raises ValueError."""
    try:
        return base64.b64decode(value or "", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("it holds no certificate") from None


def _dates(certificate: bytes) -> tuple[datetime, datetime]:
    try:
        (_, signed), *_ = _elements(_content(certificate))
        _, dates = list(_elements(signed))[_place(signed)]
        begin, end = (_read(*one) for one in _elements(dates))
    except (ValueError, IndexError):
        raise ValueError("this is no certificate") from None
    return begin, end


def _place(signed: bytes) -> int:
    return _DATES + (signed[:1] == bytes([_VERSION]))


def _content(certificate: bytes) -> bytes:
    (tag, content), *_ = _elements(certificate)
    if tag != _SEQUENCE:
        raise ValueError("it is no sequence")
    return content


def _elements(data: bytes) -> Iterator[Element]:
    """Go through elements in DER (X.690, 8.1): a tag, a length, as much content; raises ValueError where it is cut."""
    at = 0
    while at < len(data):
        tag, size, at = data[at], data[at + 1] if at + 1 < len(data) else 0xFF, at + 2
        if size & 0x80:
            more = size & 0x7F
            size, at = int.from_bytes(data[at : at + more], "big"), at + more
        if at + size > len(data):
            raise ValueError("it is cut")
        yield tag, data[at : at + size]
        at += size


def _wrapped(tag: int, content: bytes) -> bytes:
    size = len(content)
    long = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, size] if size < 0x80 else [tag, 0x80 | len(long), *long]) + content


def _read(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC:
        # Two digits of the year: 50 to 99 are of the century before (RFC 5280, 4.1.2.5.1).
        text = ("19" if text >= "50" else "20") + text
    elif tag != _GENERALIZED:
        raise ValueError("a date is written in no way that is known")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _written(when: datetime) -> bytes:
    text = when.strftime("%Y%m%d%H%M%SZ").rjust(15, "0").encode()
    return _wrapped(_UTC, text[2:]) if 1950 <= when.year < 2050 else _wrapped(_GENERALIZED, text)
