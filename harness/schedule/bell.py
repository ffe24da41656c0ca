"""Wait for a time, for a signal, or for a run to end, whichever comes first."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import FrameType

from harness.engine.abort import SIGNALS


class Bell:
    """The clock of a scheduler, and what wakes it; `asked` names the signal that asked for the end."""

    def __init__(self) -> None:
        self.asked = ""
        # A handler may write into a pipe at any moment; a lock it might find taken by the very code it interrupts.
        self._heard, self._rope = os.pipe()
        os.set_blocking(self._heard, False)
        os.set_blocking(self._rope, False)

    def now(self) -> datetime:
        """Return the time that the clock shows, in UTC."""
        return datetime.now(UTC)

    def passed(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()

    def ring(self) -> None:
        """Wake whoever waits, from any thread or signal handler."""
        with contextlib.suppress(BlockingIOError):  # it is full of rings already
            os.write(self._rope, b"\0")

    def wait(self, seconds: float | None) -> str:
        """Wait so long, or until the bell is rung; return the signal that asked for the end, if one did."""
        if not self.asked and select.select([self._heard], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._heard, 4096)
        return self.asked

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM and SIGHUP as the wish for an end for as long as the block lasts.

        One that is ignored stays so: `nohup` lets a scheduler outlive its terminal.
        """

        def asked(number: int, _: FrameType | None) -> None:
            self.asked = self.asked or signal.Signals(number).name
            self.ring()

        heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, asked) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
