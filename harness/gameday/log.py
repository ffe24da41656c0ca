"""The log of a game day: one JSON line for whatever happened, appended by whoever it happened to, secrets replaced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.journal.appending import append_line
from harness.journal.redact import clean

FILE = "log.jsonl"
# What its writer did not finish when it died.
UNREADABLE = "unreadable"
START = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, when, and by whom as they say."""

    at: datetime
    type: str
    who: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


def append(folder: Path, type: str, who: str, /, **data: Any) -> None:
    """Write one entry, on disk before this returns; raises UsageError where that cannot be."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps(clean({"at": at, "type": type, "who": who, **data}), ensure_ascii=False) + "\n"
    try:
        append_line(folder / FILE, line.encode(errors="backslashreplace"))
    except OSError as error:
        raise UsageError("the log cannot be written", where=str(folder / FILE), why=error.strerror or "") from None


def read(folder: Path) -> list[Entry]:
    """Read every entry; a line that was cut off stands there as such."""
    path, found = folder / FILE, list[Entry]()
    for number, line in enumerate(path.read_bytes().split(b"\n") if path.exists() else (), 1):
        if not line.strip():
            continue
        try:
            data = dict(json.loads(line))
            at = datetime.fromisoformat(data.pop("at")).astimezone(UTC)
            found.append(Entry(at, str(data.pop("type")), str(data.pop("who")), data))
        except (ValueError, KeyError, TypeError, RecursionError):
            found.append(Entry(found[-1].at if found else START, UNREADABLE, "", {"line": number}))
    return found
