"""What the agent told, to be waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


def settled() -> None:
    """Wait until all healing that an agent of this process has begun is over."""
    for one in threading.enumerate():
        if one.name.endswith("(heal)"):
            one.join(30)
            assert not one.is_alive()


class Told:
    """Hear everything that an agent has to tell."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.facts: list[dict[str, Any]] = []

    def __call__(self, path: str, facts: dict[str, Any]) -> None:
        with self._changed:
            self.facts.append(facts)
            self._changed.notify_all()

    def wait(self, key: str) -> dict[str, Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: any(key in one for one in self.facts), 30), self.facts
            return next(one for one in self.facts if key in one)

    def evidence(self, op: str) -> dict[str, Any]:
        """Wait until it tells what it did."""

        def found() -> dict[str, Any] | None:
            told = ((one.get("evidence") or {}).get(op) or {} for one in self.facts)
            return next((one for one in told if one.get("did")), None)

        with self._changed:
            evidence = self._changed.wait_for(found, 30)
            assert evidence, self.facts
            return evidence

    def until(self, did: dict[str, int], look: Callable[[], None]) -> None:
        """Have the agent look, until it tells that a packet fault did just this."""

        def found() -> bool:
            told = ((one.get("evidence") or {}).get("packets") or {} for one in self.facts)
            return any(one.get("did") == did for one in told)

        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            look()
            with self._changed:
                if self._changed.wait_for(found, 0.1):
                    return
        raise AssertionError(self.facts)
