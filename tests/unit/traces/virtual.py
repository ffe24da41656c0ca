"""An event loop whose time passes only while nothing is on its way, over real sockets.

Ten seconds of an open breaker take no time, and no test depends on how busy the machine is: while bytes are on their
way the clock stands, however long they take.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
HUNG_SECONDS = 20.0


class _Selector(selectors.DefaultSelector):
    def __init__(self, quiet: Callable[[], bool]) -> None:
        super().__init__()
        self.now = 0.0
        self._quiet = quiet

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is not None and self._quiet():
            self.now += timeout
            return []
        ready = super().select(HUNG_SECONDS)
        assert ready, "what is on its way never came"
        return ready


class Loop(asyncio.SelectorEventLoop):
    """A loop whose time begins at 0 and jumps to the next timer when `quiet` says that nothing is on its way."""

    def __init__(self, quiet: Callable[[], bool]) -> None:
        self._virtual = _Selector(quiet)
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(main: Coroutine[Any, Any, T], quiet: Callable[[], bool]) -> T:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=lambda: Loop(quiet)) as runner:
        return runner.run(main)
