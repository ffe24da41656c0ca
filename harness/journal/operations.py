"""Read the load's operations: fixed-width records beside the journal, whole after any death of their writer."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from harness.errors import ObservationFailed, UsageError
from harness.journal import reader
from harness.journal.event import FILE as EVENTS
from harness.journal.event import Event
from harness.model.history import Operation

FILE = "operations.bin"
# intended, sent, finished (CLOCK_MONOTONIC, ns), status, attempts, flags, then UTF-8, NUL padded: served by, the
# gateway's response flags, why; whether it was what the load expects, and which kind of operation it was. A field that
# is new stands at the end: what is older is a shorter record.
RECORD = struct.Struct("<QQQHBB64s16s40sBB")
# What a load recorded whose journal does not say how long its records are.
_FIRST_SIZE = 92
# The load's own flags that a judge must know (`harness.load.records.Flag` has them all).
LATE, UNSENT, TRIED, DIRECT = 1, 2, 64, 128
GOOD = {1: True, 2: False}
UNANSWERED = {4: "refused", 8: "cut off", 16: "timed out"}
# A run that was killed wrote nothing down for as long as its load went on alone; what is further away is no time of it.
_ALONE_SECONDS = 3600.0
_BLOCK = 256
_DISORDER = 1.0


def read(dir: Path) -> list[Operation]:
    """Return every whole record in seconds since the run began; none when the run had no load.

    A record with a time that the run did not have is left out: it is damaged. Raises UsageError when a newer harness
    wrote them, ObservationFailed when the journal does not say how to read them.
    """
    events = reader.read(dir)
    started = next((event for event in events if event.type == "load.started"), None)
    path = dir / FILE
    if started is None or not path.is_file():
        return []
    try:
        size, origin_ns = int(started.data.get("record", _FIRST_SIZE)), int(started.data["origin_ns"])
    except (KeyError, TypeError, ValueError, OverflowError):
        size, origin_ns = 0, 0
    if size < _FIRST_SIZE:
        raise ObservationFailed(
            "the journal does not say how to read the load's records",
            where=f"{dir / EVENTS}: record {started.seq}",
            hint="the file was edited or the disk failed: this run proves nothing",
        )
    if size > RECORD.size:
        raise UsageError(
            f"the records are {size} bytes long, this harness reads up to {RECORD.size}",
            where=str(path),
            hint="read it with the version that wrote it, or a newer one",
        )
    content = path.read_bytes()
    if size < RECORD.size:
        content = b"".join(
            content[begin : begin + size].ljust(RECORD.size, b"\0") for begin in range(0, len(content) - size + 1, size)
        )
    found = (_operation(record, origin_ns) for record in RECORD.iter_unpack(_whole(content)))
    end = events[-1].t + _ALONE_SECONDS
    return [one for one in found if -_ALONE_SECONDS <= one.intended <= end]


def lacking(events: Iterable[Event], found: Sequence[Operation]) -> str:
    """Say that of the operations the load has told of too few were found; empty where they are whole."""
    data = {event.type: event.data for event in events if event.type in ("load.started", "load.ended")}
    if "load.started" not in data:
        return ""
    made = data.get("load.ended", {}).get("operations")
    if isinstance(made, int) and made > len(found):
        return f"the load made {made} operations, {len(found)} records of them can be read"
    return "" if found or made == 0 else "the run had a load, and no record of its operations can be read"


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
    intended, sent, finished, status, attempts, flags, name, response_flags, because, outcome, call = record
    flags, who, why, good = int(flags), _text(name), _text(because), GOOD.get(int(outcome))
    ended = next((word for flag, word in UNANSWERED.items() if flags & flag), "")
    # A service gives its reason with a status that says that it failed; an answer that is amiss may be a 200.
    amiss = why if good is False and 200 <= int(status) < 400 else ""
    return Operation(
        intended=(int(intended) - origin_ns) / 1e9,
        sent=(int(sent) - origin_ns) / 1e9,
        finished=(int(finished) - origin_ns) / 1e9,
        status=int(status),
        attempts=int(attempts),
        served_by="" if flags & TRIED else who,
        late=bool(flags & LATE),
        unsent=bool(flags & UNSENT),
        tried=who if flags & TRIED else "",
        response_flags=_text(response_flags),
        because=why if status and not amiss else "",
        unanswered=ended if status or not why else why,
        good=good,
        amiss=amiss,
        call=int(call),
        direct=bool(flags & DIRECT),
    )


# A few texts stand in all of the many records: each is kept once.
@lru_cache(4096)
def _text(padded: int | bytes) -> str:
    assert isinstance(padded, bytes)
    return padded.rstrip(b"\0").decode(errors="replace")
