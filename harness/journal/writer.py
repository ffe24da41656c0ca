"""Append events to a run's journal."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.journal import reader
from harness.journal.event import FILE, SCHEMA, Event
from harness.journal.redact import clean


class Journal:
    """The journal of one run, in the run's own folder; each event is in the kernel's hands before `write` returns.

    Opening a journal that exists goes on where it ended: the same count, the same time axis.
    """

    def __init__(self, dir: Path, run: str) -> None:
        dir.mkdir(parents=True, exist_ok=True)
        self.dir, self.run = dir, run
        self._path = dir / FILE
        self._lock = threading.Lock()
        before = reader.read(dir) if self._path.exists() else []
        self._seq = before[-1].seq if before else 0
        elapsed = max(time.time() - before[0].wall, before[-1].t) if before else 0.0
        self.origin_ns = time.monotonic_ns() - int(elapsed * 1e9)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not _ends_whole(self._path):
            os.write(self._file, b"\n")

    def now(self) -> float:
        """Return seconds since the run began."""
        return (time.monotonic_ns() - self.origin_ns) / 1e9

    def write(self, type: str, phase: str, /, **data: Any) -> Event:
        """Append one event and return it as it was written, secrets replaced."""
        plain = clean(data)
        with self._lock:
            event = Event(self._seq + 1, round(time.time(), 6), round(self.now(), 6), phase, type, plain)
            record: dict[str, Any] = {"seq": event.seq, "wall": event.wall, "t": event.t, "phase": phase, "type": type}
            if event.seq == 1:
                record |= {"schema": SCHEMA, "run": self.run}
            record["data"] = plain
            line = json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n"
            # A file name that is no text, or half a letter that a probe returned, must not end the run.
            _write_all(self._file, line.encode(errors="replace"))
            self._seq = event.seq
        return event

    def close(self) -> None:
        """Bring the journal to disk and close it."""
        with self._lock:
            if self._file >= 0:
                os.fsync(self._file)
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _write_all(file: int, line: bytes) -> None:
    while line:
        line = line[os.write(file, line) :]


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
