"""What a worker of a resource fault is told, read from plain data and refused where it makes no sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.agent.resident.packets import spec
from harness.agent.resident.refused import Refused

_KEYS = {"fault", "pod", "container", "effect", "lease", "seconds"}
_FAULT, _LONGEST = spec.FAULT_NAME, spec.LONGEST_SECONDS


@dataclass(frozen=True, slots=True)
class Order:
    """One resource fault: whose it is, in which container of which pod, what, and how long at most.

    `lease` ends the worker when nobody renews it, `seconds` in any case.
    """

    fault: str
    pod: str
    container: str
    effect: dict[str, Any]
    lease: float
    seconds: float

    def only(self, *known: str) -> None:
        """Refuse parameters that this effect does not have."""
        more = sorted(set(self.effect) - {"kind", *known})
        if more:
            raise Refused(f"no parameter {', '.join(more)}", f"{self.effect['kind']} takes {', '.join(known)}")

    def number(self, key: str, least: float, most: float, default: float | None = None) -> float:
        """Read a number of the effect; raises Refused."""
        return spec.number(self.effect, key, least, most, default)


def read(found: Any) -> Order:
    """Read a worker's order; raises Refused with what is wrong."""
    if not isinstance(found, dict) or set(found) - _KEYS:
        raise Refused("not an order", f"it holds {', '.join(sorted(_KEYS))} and nothing else")
    fault, effect = found.get("fault"), found.get("effect")
    if not isinstance(fault, str) or not _FAULT.fullmatch(fault):
        raise Refused(f"no fault name {fault!r}", "letters, digits and . _ : / - of at most 200")
    if not isinstance(effect, dict):
        raise Refused("no effect", repr(effect))
    return Order(
        fault=fault,
        pod=str(found.get("pod", "")),
        container=str(found.get("container", "")),
        effect=effect,
        lease=spec.number(found, "lease", 0.1, _LONGEST),
        seconds=spec.number(found, "seconds", 0.1, _LONGEST),
    )
