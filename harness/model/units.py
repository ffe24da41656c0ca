"""Read durations, rates, ratios and counts as people write them; every refusal says what is accepted."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+")
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m)")
PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
SIGNAL = re.compile(r"[A-Z][A-Z0-9+]*")
BANDWIDTH = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)bit/s")
BITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
LAST_PORT = 65535


def duration(value: Any) -> float:
    """Read a duration such as `10s`, `500ms`, `2m` or `1m30s` as seconds."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    text = value.strip() if isinstance(value, str) else ""
    if not DURATION.fullmatch(text):
        raise ValueError(f"{shown(value)} is not a duration; write a number with its unit, like 10s, 500ms or 2m")
    return float(sum((Decimal(number) * SECONDS[unit] for number, unit in PART.findall(text)), Decimal(0)))


def rate(value: Any) -> float:
    """Read a rate such as `50/s` or `300/m` as operations per second."""
    match = RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match or not float(match[1]):
        raise ValueError(f"{shown(value)} is not a rate; write operations per second or minute above zero, like 50/s")
    return float(Decimal(match[1]) / SECONDS[match[2]])


def ratio(value: Any) -> float:
    """Read a ratio such as `99.5%` or `0.995` as a number from 0 to 1."""
    if isinstance(value, str) and (match := PERCENT.fullmatch(value.strip())):
        found = float(Decimal(match[1]) / 100)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    else:
        raise ValueError(f"{shown(value)} is not a ratio; write 99.5% or 0.995")
    if not 0 <= found <= 1:
        advice = f"; for per cent write {value}%" if not isinstance(value, str) and 1 < found <= 100 else ""
        raise ValueError(f"{shown(value)} is outside 0 to 1 (0 % to 100 %){advice}")
    return found


def integer(value: Any) -> int:
    """Read a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shown(value)} is not a whole number")
    return value


def number(value: Any) -> float:
    """Read a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{shown(value)} is not a number")
    return float(value)


def boolean(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is not true or false")
    return value


def text(value: Any) -> str:
    """Read a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{shown(value)} is not a text")
    return value.strip()


def line(value: Any) -> str:
    """Read a text that is not empty as one line, however it is folded in its file."""
    return " ".join(text(value).split())


def quoted(value: Any) -> str:
    """Read a text as it stands, which may be empty."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a text; quote it")
    return value


def signal(value: Any) -> str:
    """Read the name of a signal, such as `KILL` or `SIGTERM`, without its `SIG`."""
    name = value.removeprefix("SIG") if isinstance(value, str) else ""
    if not SIGNAL.fullmatch(name):
        raise ValueError(f"{shown(value)} is not the name of a signal, like KILL or TERM")
    return name


def bandwidth(value: Any) -> float:
    """Read a bandwidth such as `10Mbit/s` or `512kbit/s` as bits per second."""
    match = BANDWIDTH.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match or not float(match[1]):
        raise ValueError(f"{shown(value)} is not a bandwidth; write bits per second above zero, like 10Mbit/s")
    return float(Decimal(match[1]) * BITS[match[2]])


def networks(value: Any) -> list[str]:
    """Read networks and addresses such as `10.0.0.0/8`, `fd00::/8` or `10.1.2.3`."""
    return _of_ip(value, ipaddress.ip_network, "a network, like 10.0.0.0/8")


def addresses(value: Any) -> list[str]:
    """Read IP addresses."""
    return _of_ip(value, ipaddress.ip_address, "an address, like 192.0.2.1")


def _of_ip(value: Any, read: Callable[[str], object], what: str) -> list[str]:
    found = []
    for one in listed(value, f"values, each {what}"):
        try:
            found.append(str(read(one if isinstance(one, str) else "")))
        except ValueError:
            raise ValueError(f"{shown(one)} is not {what}") from None
    return found


def ports(value: Any) -> list[int]:
    """Read port numbers."""
    found = listed(value, "ports, like [5432]")
    for one in found:
        if isinstance(one, bool) or not isinstance(one, int) or not 0 < one <= LAST_PORT:
            raise ValueError(f"{shown(one)} is not a port; one is from 1 to {LAST_PORT}")
    return found


def names(value: Any) -> list[str]:
    """Read names, each a text that is not empty."""
    return [text(one) for one in listed(value, "names, like [example.com]")]


def listed(value: Any, what: str) -> list[Any]:
    """Read a list that is not empty; `what` says what is in it."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"{shown(value)} is not a list of {what}")
    return value


def span(value: float) -> str:
    """Write seconds as `duration` reads them, to the millisecond, such as `10s`, `1m30s` or `8784h`."""
    left, text = round(value * 1000), ""
    for unit, size in reversed(SECONDS.items()):
        whole, left = divmod(left, int(size * 1000))
        text += f"{whole}{unit}" if whole else ""
    return text or "0s"


def bounded(read: Callable[[Any], float], most: float, least: float = 0.0) -> Callable[[Any], float]:
    """Return a reader that refuses what lies outside of two bounds, which it may be itself."""

    def within(value: Any) -> float:
        found = read(value)
        if not least <= found <= most:
            low, high = (span(one) if read is duration else f"{one:g}" for one in (least, most))
            raise ValueError(f"{shown(value)} is not between {low} and {high}")
        return found

    return within


def shown(value: Any) -> str:
    """Show a value of the document the way it was written, cut to a line's length."""
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "nothing"}[value]
    quoted = f"'{value}'" if isinstance(value, str) else str(value)
    return quoted if len(quoted) <= 60 else quoted[:57] + "..."


def seconds(value: float, *, beside: float | None = None) -> str:
    """Show seconds with a unit a person would choose, and with the digits that tell it from a limit `beside` it."""
    if value < 1:
        return f"{apart(value * 1000, None if beside is None else beside * 1000)} ms"
    return f"{apart(value, beside, 1 if value < 10 and value % 1 else 0)} s"


def percent(value: float) -> str:
    """Show a ratio as per cent, rounded down so that a shortfall is never shown as whole.

    The closer to whole, the more digits: 99.99 % and 99.999 % are ten times apart.
    """
    shortfall = max(1e-8, 1 - value) * 100
    digits = max(2, math.ceil(-math.log10(shortfall) - 1e-6) + 1)
    # Binary fractions lie a little off: 0.995 * 1000 must not become 994.
    cut = math.floor(value * 10 ** (digits + 2) + 1e-6) / 10**digits
    whole, _, rest = f"{cut:.{digits}f}".partition(".")
    return f"{whole}.{rest[:2]}{rest[2:].rstrip('0')} %" if rest.strip("0") else f"{whole} %"


def rounded(share: float) -> str:
    """Show a share whose digits mean nothing as whole per cent."""
    return f"{share * 100:.0f} %"


def apart(value: float, limit: float | None, digits: int = 0) -> str:
    """Show a number with at least so many decimals, and with as many more as tell it from a limit."""
    while limit is not None and value != limit and digits < 6 and f"{value:.{digits}f}" == f"{limit:.{digits}f}":
        digits += 1
    return f"{value:.{digits}f}"
