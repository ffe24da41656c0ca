"""Read the load's operations: fixed-width records beside the journal, whole after any death of their writer."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from harness.journal import reader
from harness.model.history import Operation

FILE = "operations.bin"
# intended, sent, finished (CLOCK_MONOTONIC, ns), status, attempts, flags, served by (UTF-8, NUL padded)
RECORD = struct.Struct("<QQQHBB64s")
_BLOCK = 256
_DISORDER = 1.0


def read(dir: Path) -> list[Operation]:
    """Return every whole record in seconds since the run began; none when the run had no load."""
    origin_ns = next((int(event.data["origin_ns"]) for event in reader.read(dir) if event.type == "load.started"), None)
    path = dir / FILE
    if origin_ns is None or not path.exists():
        return []
    return [_operation(record, origin_ns) for record in RECORD.iter_unpack(_whole(path.read_bytes()))]


def tail(dir: Path, origin_ns: int, *, since: float) -> list[Operation]:
    """Return the operations that ended after `since` (seconds since the run began), however long they took.

    The file is read from its end, so that looking often stays cheap however long the run is.
    """
    path = dir / FILE
    if not path.exists():
        return []
    found: list[Operation] = []
    with path.open("rb") as file:
        end = count(dir)
        while end > 0:
            begin = max(0, end - _BLOCK)
            file.seek(begin * RECORD.size)
            block = _whole(file.read((end - begin) * RECORD.size))
            recent = [_operation(record, origin_ns) for record in RECORD.iter_unpack(block)]
            found = [operation for operation in recent if operation.finished > since] + found
            # Records stand nearly in the order they ended, so none before this one ended late enough.
            if not recent or recent[0].finished < since - _DISORDER:
                break
            end = begin
    return found


def count(dir: Path) -> int:
    """Count the whole records."""
    path = dir / FILE
    return path.stat().st_size // RECORD.size if path.exists() else 0


def _whole(content: bytes) -> bytes:
    return content[: len(content) - len(content) % RECORD.size]


def _operation(record: Iterable[int | bytes], origin_ns: int) -> Operation:
    intended, sent, finished, status, attempts, _flags, served_by = record
    assert isinstance(served_by, bytes)
    return Operation(
        intended=(int(intended) - origin_ns) / 1e9,
        sent=(int(sent) - origin_ns) / 1e9,
        finished=(int(finished) - origin_ns) / 1e9,
        status=int(status),
        attempts=int(attempts),
        served_by=served_by.rstrip(b"\0").decode(errors="replace"),
    )
