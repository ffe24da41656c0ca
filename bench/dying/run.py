"""One run of one document, as a process that may be struck: its journal read beside it, in a terminal on request."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from harness.errors import ObservationFailed

ROOT = Path(__file__).parents[2]
HARNESS = (sys.executable, "-m", "harness.cli")
LOOK_SECONDS = 0.02
PATIENCE_SECONDS, END_SECONDS = 90.0, 120.0
SHOWN = 2000
Event = dict[str, Any]
T = TypeVar("T")


class Run:
    """A run that holds a fault until something dies; `folder` takes its runs and must be empty."""

    def __init__(self, document: Path, folder: Path, *, seed: int = 1, terminal: bool = False) -> None:
        self.folder = folder
        self._events: list[Event] = []
        self._read, self._terminal = 0, -1
        argv = [*HARNESS, "run", str(document), "--runs", str(folder), "--seed", str(seed)]
        if not terminal:
            self.process = subprocess.Popen(
                argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )
            return
        self._terminal, side = pty.openpty()
        os.set_blocking(self._terminal, False)
        self.process = subprocess.Popen(
            argv, cwd=ROOT, stdin=side, stdout=side, stderr=side, text=True, preexec_fn=lambda: os.login_tty(side)
        )
        os.close(side)

    def lines(self) -> list[Event]:
        """Read the journal so far."""
        self._drain()
        if path := next(iter(sorted(self.folder.glob("*/journal.jsonl"))), None):
            with path.open("rb") as file:
                file.seek(self._read)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read += len(whole)
            self._events += [json.loads(line) for line in whole.splitlines() if line.endswith(b"}")]
        return self._events

    def find(self, kind: str) -> Event | None:
        """Return the first event of a kind, if it is there."""
        return next((event for event in self.lines() if event["type"] == kind), None)

    def wait_for(self, kind: str, seconds: float = PATIENCE_SECONDS) -> Event:
        """Return the first event of a kind as soon as it is there; raises ObservationFailed where none comes."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            if event := self.find(kind):
                return event
            if ended:
                why = self.said().strip()[-SHOWN:]
                raise ObservationFailed(f"the run ended with {self.process.returncode} before {kind}", why=why)
            time.sleep(LOOK_SECONDS)
        raise ObservationFailed(f"no {kind} within {seconds:g} s", where=str(self.folder))

    def said(self) -> str:
        """Return what it printed, once it has ended; of a terminal nothing is kept."""
        return str(self.process.communicate(timeout=END_SECONDS)[0] or "")

    def signal(self, number: int) -> None:
        """Send a signal to the engine alone."""
        os.kill(self.process.pid, number)

    def interrupt(self) -> None:
        """Press Ctrl-C: its whole process group gets it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)

    def hang_up(self) -> None:
        """Close its terminal, as a window is closed."""
        os.close(self._terminal)
        self._terminal = -1

    def end(self, seconds: float = END_SECONDS) -> int:
        """Wait for the engine's end and return its exit code; raises TimeoutExpired."""
        deadline = time.monotonic() + seconds
        while self._terminal >= 0 and self.process.poll() is None and time.monotonic() < deadline:
            self._drain()
            time.sleep(LOOK_SECONDS)
        self.process.communicate(timeout=max(LOOK_SECONDS, deadline - time.monotonic()))
        return self.process.returncode

    def close(self) -> None:
        """End it whatever it does: a suspended one is killed, too."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=END_SECONDS)
        if self._terminal >= 0:
            self.hang_up()

    def _drain(self) -> None:
        """Read what it writes to its terminal, which else would hold it up."""
        while self._terminal >= 0:
            try:
                if not os.read(self._terminal, 65536):
                    return
            except OSError:
                return


@contextlib.asynccontextmanager
async def started(text: str, *, seed: int = 1, terminal: bool = False) -> AsyncIterator[Run]:
    """Run a document from its text; whatever ends the block, the run is over and its files are gone."""
    with tempfile.TemporaryDirectory(prefix="dying-") as folder:
        document = Path(folder) / "document.json"
        document.write_text(text)
        run = Run(document, Path(folder) / "runs", seed=seed, terminal=terminal)
        try:
            yield run
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(run.close)


async def aside(act: Callable[[], T]) -> T:
    """Wait in a thread for what blocks; it is left alone when the waiting is cancelled."""
    return await anyio.to_thread.run_sync(act, abandon_on_cancel=True)
