"""What one worker is told to do, read from plain data and refused where it makes no sense."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from harness.agent.resident.packets import match
from harness.agent.resident.packets.match import Match
from harness.agent.resident.refused import Refused

FAULT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}")
MARK = 1 << 28
LIMIT = 8192  # packets held at once: 100 ms at 80 000 a second, more than one process can serve
LONGEST_SECONDS = 86400.0
_KEYS = {"fault", "seed", "netns", "effect", "match", "lease", "seconds", "mark", "limit", "room"}


@dataclass(frozen=True, slots=True)
class Spec:
    """One packet fault: whose it is, where, what, to which packets, and how long at most.

    `lease` ends the worker when nobody renews it, `seconds` in any case. `mark` is one bit of the packet mark that
    says "this fault has had it"; `room` is the size of the queue's socket.
    """

    fault: str
    seed: str
    netns: str
    effect: dict[str, Any]
    match: Match
    lease: float
    seconds: float
    mark: int = MARK
    limit: int = LIMIT
    room: int = 0


def read(found: Any) -> Spec:
    """Read a worker's order; raises Refused with what is wrong."""
    if not isinstance(found, dict) or set(found) - _KEYS:
        raise Refused("not an order", f"it holds {', '.join(sorted(_KEYS))} and nothing else")
    fault, netns, effect = found.get("fault"), found.get("netns"), found.get("effect")
    if not isinstance(fault, str) or not FAULT_NAME.fullmatch(fault):
        raise Refused(f"no fault name {fault!r}", "letters, digits and . _ : / - of at most 200")
    if not isinstance(netns, str) or not netns.startswith("/"):
        raise Refused(f"no network namespace {netns!r}", "the path of its file")
    if not isinstance(effect, dict):
        raise Refused("no effect", repr(effect))
    mark = whole(found, "mark", 1, 1 << 31, MARK)
    if mark & (mark - 1):
        raise Refused(f"no mark {mark:#x}", "one bit of 32")
    return Spec(
        fault=fault,
        seed=str(found.get("seed", "")),
        netns=netns,
        effect=effect,
        match=match.read(found.get("match", {})),
        lease=number(found, "lease", 0.1, LONGEST_SECONDS),
        seconds=number(found, "seconds", 0.1, LONGEST_SECONDS),
        mark=mark,
        limit=whole(found, "limit", 1, 65536, LIMIT),
        room=whole(found, "room", 0, 256 << 20, 0),
    )


def number(found: dict[str, Any], key: str, least: float, most: float, default: float | None = None) -> float:
    """Read a number within bounds; raises Refused when it is missing without a default, or none."""
    value = found.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise Refused(f"{key} is {value!r}", f"a number from {least:g} to {most:g}")
    return float(value)


def whole(found: dict[str, Any], key: str, least: int, most: int, default: int) -> int:
    """Read a whole number within bounds; raises Refused."""
    value = found.get(key, default)
    if type(value) is not int or not least <= value <= most:
        raise Refused(f"{key} is {value!r}", f"a whole number from {least} to {most}")
    return value
