"""Read a run's journal, dead runs included."""

from __future__ import annotations

import json
from pathlib import Path

from harness.errors import ObservationFailed, UsageError
from harness.journal.event import FILE, SCHEMA, Event


def read(dir: Path) -> list[Event]:
    """Return every whole event of the journal in `dir`.

    A record that was cut off when its writer died is left out. Raises ObservationFailed when a record in the middle is
    missing, UsageError when there is no journal or a newer harness wrote it.
    """
    path = dir / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            "there is no journal here", where=str(path), why=error.strerror or "", hint="`harness runs` lists the runs"
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


def _event(line: bytes, where: str) -> Event | None:
    try:
        record = json.loads(line)
        event = Event(
            int(record["seq"]), float(record["wall"]), float(record["t"]),
            str(record["phase"]), str(record["type"]), dict(record["data"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError):
        return None
    if record.get("schema", SCHEMA) > SCHEMA:
        raise UsageError(
            f"the journal has schema {record['schema']}, this harness reads up to {SCHEMA}",
            where=where,
            hint="read it with the version that wrote it, or a newer one",
        )
    return event
