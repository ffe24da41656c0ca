"""Append lines to a file that several processes may write to, each line whole and on disk."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def append_line(path: Path, line: bytes) -> None:
    """Write one line behind the last, on disk before this returns; after one that was cut off a new one begins.

    With no line at all it only finds out whether there could be one. Raises OSError.
    """
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # The lock keeps two writers' lines apart; it goes with the file, also when its holder dies.
        fcntl.flock(file, fcntl.LOCK_EX)
        end = os.lseek(file, 0, os.SEEK_END)
        if line and end and os.pread(file, 1, end - 1) != b"\n":
            line = b"\n" + line
        while line:
            line = line[os.write(file, line) :]
        os.fsync(file)
    finally:
        os.close(file)
