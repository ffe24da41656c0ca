"""The parameters that faults and objectives take: name, type, default and a sentence for `harness explain`."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.model import peer, units


class Type(enum.StrEnum):
    """What a parameter's value looks like in a document."""

    DURATION = "duration"
    INTEGER = "whole number"
    NUMBER = "number"
    RATIO = "ratio"
    BOOLEAN = "true or false"
    TEXT = "text"
    SIGNAL = "signal"
    BANDWIDTH = "bandwidth"
    NETWORKS = "list of networks"
    PEERS = "list of peers"
    ADDRESSES = "list of addresses"
    PORTS = "list of ports"
    NAMES = "list of names"


READERS: dict[Type, Callable[[Any], Any]] = {
    Type.DURATION: units.duration,
    Type.INTEGER: units.integer,
    Type.NUMBER: units.number,
    Type.RATIO: units.ratio,
    Type.BOOLEAN: units.boolean,
    Type.TEXT: units.text,
    Type.SIGNAL: units.signal,
    Type.BANDWIDTH: units.bandwidth,
    Type.NETWORKS: units.networks,
    Type.PEERS: peer.read,
    Type.ADDRESSES: units.addresses,
    Type.PORTS: units.ports,
    Type.NAMES: units.names,
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a fault or an objective; `choices` are all that a text may be, where there are any."""

    name: str
    type: Type
    summary: str
    default: Any = None
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def otherwise(self) -> str:
        """Say what it is where nobody states it: `required`, the default, or nothing."""
        if self.required:
            return "required"
        shown = ", ".join(map(str, self.default)) if isinstance(self.default, list) else self.default
        return "" if shown is None else str(shown)

    def read(self, value: Any) -> Any:
        """Read a value from a document; raise ValueError saying what is accepted."""
        found = READERS[self.type](value)
        if self.choices and found not in self.choices:
            raise ValueError(f"{units.shown(value)} is none of {', '.join(self.choices)}")
        if self.minimum is not None and found < self.minimum:
            raise ValueError(f"{units.shown(value)} is below {self.minimum:g}")
        if self.maximum is not None and found > self.maximum:
            raise ValueError(f"{units.shown(value)} is above {self.maximum:g}")
        return found
