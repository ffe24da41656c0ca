"""How long a worker goes on: until its time or its lease is over, or its input says so."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from harness.agent.resident.leases import boottime

_READ_BYTES = 65536


class Term:
    """The time that a worker has, on this node's own clock: `seconds` in all, and `lease` more after each renewal."""

    def __init__(self, seconds: float, lease: float) -> None:
        now = boottime()
        self._last, self._lease = now + seconds, now + lease
        self._rest = b""

    def left(self) -> float:
        """Return the seconds until it is over, unless it is renewed before; negative once it is."""
        return min(self._last, self._lease) - boottime()

    def over(self) -> str:
        """Say why it is over; empty while it is not."""
        now = boottime()
        if now >= self._last:
            return "its time is over"
        return "its lease was not renewed" if now >= self._lease else ""

    def hear(self, control: int, asked: Callable[[Any], None]) -> str:
        """Do what the input says, calling `asked` for each report that is asked for; return why it is to end, if so."""
        data = os.read(control, _READ_BYTES)
        if not data:
            return "nobody holds its input any more"
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "end" in message:
                return str(message["end"])
            if "lease" in message:
                self._lease = boottime() + float(message["lease"])
            if "report" in message:
                asked(message["report"])
        return ""
