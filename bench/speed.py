"""Time a fixed loop, so that tables of different days and machines can be told apart."""

from __future__ import annotations

import time

ROUNDS = 1_000_000
TIMES = 5


def loop() -> float:
    """Return the milliseconds of the fastest of a few passes: what the machine can do, not what else it did."""
    return min(_once() for _ in range(TIMES))


def _once() -> float:
    began, total = time.perf_counter(), 0
    for number in range(ROUNDS):
        total += number & 7
    assert total == 7 * ROUNDS // 2
    return (time.perf_counter() - began) * 1000
