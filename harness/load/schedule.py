"""When each operation is due: fixed before the first is sent, deaf to how the system answers."""

from __future__ import annotations

import math
from collections.abc import Iterator


def offsets(rate: float, ramp: float, seconds: float) -> Iterator[float]:
    """Yield the due time of each operation in seconds from the start, evenly spaced after a linear ramp."""
    in_ramp = rate * ramp / 2
    index = 0
    while True:
        due = math.sqrt(2 * ramp * index / rate) if index < in_ramp else ramp + (index - in_ramp) / rate
        if due >= seconds:
            return
        yield due
        index += 1
