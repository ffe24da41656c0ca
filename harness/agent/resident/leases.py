"""How long a run may still be taken for alive, on this node's own clock.

A run renews its Lease; each change that arrives here starts the time anew. What is written in the Lease is never
compared with a clock of ours. When the API server says nothing, the time runs out all the same.
"""

from __future__ import annotations

import threading
import time

SECONDS = 15.0


def boottime() -> float:
    """Read the clock that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Leases:
    """When each run was last heard of."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds, self._lock = seconds, threading.Lock()
        self._heard: dict[str, float] = {}
        self._versions: dict[str, str] = {}

    def begin(self, run: str) -> None:
        """Give a run that was never heard of its first time."""
        with self._lock:
            self._heard.setdefault(run, boottime())

    def hear(self, run: str, place: str, version: str) -> None:
        """Note that a run holds the Lease of a place; only a version that is new renews it."""
        with self._lock:
            if self._versions.get(place) != version:
                self._versions[place] = version
                self._heard[run] = boottime()

    def lapsed(self, run: str) -> bool:
        """Say whether a run has not been heard of for too long."""
        with self._lock:
            return boottime() - self._heard.get(run, float("-inf")) >= self.seconds

    def forget(self, run: str) -> None:
        """Drop a run that is over."""
        with self._lock:
            self._heard.pop(run, None)
