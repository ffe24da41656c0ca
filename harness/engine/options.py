"""What a run is told besides its document, and what it gives back."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from harness.model.verdict import Verdict


class Stop:
    """End a run from another thread, also one that has not begun yet; once asked for, it stays so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason = ""
        self._wake: Callable[[], object] | None = None

    def ask(self, reason: str) -> None:
        """Have the run end now, with its undo and a verdict; the first reason counts."""
        with self._lock:
            self._reason = self._reason or reason
            wake = self._wake
        if wake:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the run is over
                wake()

    async def asked(self) -> str:
        """Wait until the end was asked for, and say why."""
        event, loop = anyio.Event(), asyncio.get_running_loop()
        with self._lock:
            self._wake = lambda: loop.call_soon_threadsafe(event.set)
            reason = self._reason
        if not reason:
            await event.wait()
        return self._reason


@dataclass(frozen=True, slots=True)
class Options:
    """Where a run goes and how it is seeded; `say` receives one plain line per event, `stop` ends it from outside."""

    kubeconfig: Path | None = None
    context: str | None = None
    seed: int | None = None
    runs: Path = field(default_factory=lambda: Path("runs"))
    dry_run: bool = False
    say: Callable[[str], None] | None = None
    stop: Stop | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run's end: its verdict, whether that was declared, its exit code and where its evidence lies.

    `begun` says that the first fault was let through: a run that had to stop before it touched nothing. `heal` is the
    command that heals what it left broken.
    """

    verdict: Verdict
    exit: int
    right: bool
    run: str
    dir: Path
    text: str
    seconds: float
    overhead: float
    reason: str = ""
    begun: bool = True
    cause: str = ""
    heal: str = "harness undo"
