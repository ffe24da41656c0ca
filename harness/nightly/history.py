"""Keep every run of every night in one folder of JSON lines that is only ever appended to.

Several files may lie in it, such as those of shards: all are read, and a record that is in two of them counts once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.journal.appending import append_line
from harness.nightly import record
from harness.nightly.record import SCHEMA, Record

FILE = "history.jsonl"


@dataclass(frozen=True, slots=True)
class History:
    """What a folder holds, oldest first, and how many lines of it could not be read."""

    records: tuple[Record, ...] = ()
    unread: int = 0


def prepare(folder: Path) -> None:
    """Make sure, before a night is spent, that it can be written down; raises UsageError when it cannot."""
    _append(folder, b"")


def append(folder: Path, found: Record) -> None:
    """Write one record behind the last, whole and on disk before this returns.

    Raises UsageError when the folder takes no file.
    """
    text = json.dumps(found.plain(), separators=(",", ":"), ensure_ascii=False) + "\n"
    _append(folder, text.encode(errors="backslashreplace"))


def _append(folder: Path, line: bytes) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        append_line(folder / FILE, line)
    except OSError as error:
        raise UsageError(
            "the history cannot be written", where=str(folder / FILE), why=error.strerror or "", hint="--history DIR"
        ) from None


def read(folder: Path) -> History:
    """Read every whole record below the folder; a line that was cut off when its writer died is left out and counted.

    Raises UsageError when a file cannot be read or a newer harness wrote it.
    """
    found: dict[tuple[str, str, int, str, float], Record] = {}
    unread = 0
    for path in sorted(folder.glob("*.jsonl")):
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise UsageError("the history cannot be read", where=str(path), why=error.strerror or "") from None
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            one = _record(line, f"{path}:{number}")
            if one is None:
                unread += 1
            else:
                found.setdefault((one.night, one.experiment, one.attempt, one.run, one.started), one)
    return History(tuple(sorted(found.values(), key=lambda one: (one.started, one.attempt))), unread)


def _record(line: bytes, where: str) -> Record | None:
    try:
        data = json.loads(line)
        schema = int(data["schema"])
        if schema <= SCHEMA:
            return record.parse(data)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    raise UsageError(
        f"the history has schema {schema}, this harness reads up to {SCHEMA}",
        where=where,
        hint="use the version that wrote it, or a newer one",
    )
