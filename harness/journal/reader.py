"""Read a run's journal, dead runs included."""

from __future__ import annotations

import errno
import json
from pathlib import Path

from harness.errors import ObservationFailed, UsageError
from harness.journal import shapes
from harness.journal.event import FILE, SCHEMA, Event

# In the year 4000 and later no run was made.
LAST_WALL = 64e9


def read(dir: Path) -> list[Event]:
    """Return every whole event of the journal in `dir`.

    A record that was cut off when its writer died is left out. Raises ObservationFailed when a record in the middle is
    missing, UsageError when there is no journal, a newer harness wrote it, or a record does not hold what its type has.
    """
    path = dir / FILE
    try:
        # A pipe would wait for somebody who writes.
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is no file")
        content = path.read_bytes()
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        raise UsageError(
            "there is no journal here" if gone else "the journal cannot be read",
            where=str(path),
            why=error.strerror or str(error),
            hint="`harness runs` lists the runs",
        ) from None
    events: list[Event] = []
    for number, line in enumerate(content.split(b"\n"), 1):
        event = _event(line, f"{path}:{number}")
        if event is None:
            continue
        if event.seq != len(events) + 1:
            raise ObservationFailed(
                "the journal lost a record",
                where=f"{path}:{number}",
                why=f"record {len(events) + 1} was expected, {event.seq} came",
                hint="the file was edited or the disk failed: this run proves nothing",
            )
        events.append(event)
    return events


def begun(dir: Path) -> list[Event]:
    """Return the events of a run that wrote something down; raises UsageError where there is none, and as `read`."""
    events = read(dir)
    if not events:
        raise UsageError(
            "this run wrote nothing down",
            where=str(dir),
            why="it ended before its first event, or its disk was full",
            hint="`harness faults` says what is broken now, `harness runs` lists the other runs",
        )
    return events


def _event(line: bytes, where: str) -> Event | None:
    try:
        record = json.loads(line)
        event = Event(
            int(record["seq"]), float(record["wall"]), float(record["t"]),
            str(record["phase"]), str(record["type"]), dict(record["data"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    # What is no time cannot be shown as one, NaN is none.
    if not (0 <= event.wall < LAST_WALL and -LAST_WALL < event.t < LAST_WALL):
        return None
    schema = record.get("schema", SCHEMA)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise UsageError(
            f"the journal has schema {json.dumps(schema)}, this harness reads up to {SCHEMA}",
            where=where,
            hint="read it with the version that wrote it, or a newer one",
        )
    if wrong := shapes.amiss(event.type, event.data):
        raise UsageError(
            f"record {event.seq} ({event.type}) is not as it was written: {wrong}",
            where=where,
            hint="the file was edited or the disk failed: fetch the run's folder once more, or leave this run out",
        )
    return event
