"""Write what became of each operation, one fixed-width record at a time."""

from __future__ import annotations

import enum
import errno
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.journal.operations import RECORD
from harness.load.answer import Answer

_NAME_BYTES = 64
_FLAGS_BYTES = 16
_BECAUSE_BYTES = 40


class Flag(enum.IntFlag):
    """What else is known of an operation."""

    LATE = 1  # the generator itself began it more than 50 ms after it was due
    NOT_SENT = 2  # too many operations were under way
    REFUSED = 4  # no connection could be made
    CUT = 8  # the connection ended before the answer did
    TIMED_OUT = 16
    REUSED = 32  # it went out on a connection that had served before
    DIRECT = 128  # it went to a host that the load names, and not through the cluster's gateway
    TRIED = 64  # no pod said that it answered: the name is the address of the one the gateway tried last


class Outcome(enum.IntEnum):
    """Whether an operation got what the load expects; older records tell no more than the status."""

    UNANSWERED = 0
    GOOD = 1
    AMISS = 2


class Writer:
    """The record file; a record is in the kernel's hands before `write` returns, and the file holds whole ones only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(
        self,
        intended_ns: int,
        sent_ns: int,
        flags: int,
        answer: Answer,
        outcome: Outcome = Outcome.UNANSWERED,
        amiss: str = "",
        call: int = 0,
    ) -> None:
        """Append one record; of a long name the end is kept, where a pod's own part is.

        What was amiss with an answer stands in the place of the service's own reason, where there is none.
        Raises OSError when it does not fit whole: a part of one would shift every record after it.
        """
        record = RECORD.pack(
            *(intended_ns, sent_ns, answer.finished_ns, answer.status, answer.attempts, flags),
            (answer.served_by or answer.tried).encode()[-_NAME_BYTES:],
            answer.response_flags.encode()[:_FLAGS_BYTES],
            (answer.because or amiss).encode()[:_BECAUSE_BYTES],
            *(outcome, min(call, 255)),
        )
        if os.write(self._file, record) != len(record):
            end = os.fstat(self._file).st_size
            os.ftruncate(self._file, end - end % RECORD.size)
            raise OSError(errno.ENOSPC, "a record was cut short", str(self._path))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
