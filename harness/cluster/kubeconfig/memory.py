"""Files for whoever takes nothing but a path: in memory where the system has that, so that no secret reaches a disk."""

from __future__ import annotations

import os
import tempfile
from typing import IO


def made(suffix: str) -> IO[bytes]:
    """Make an empty file that only its owner may read; it is gone when it is closed."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create(f"harness{suffix}"), "wb")
    return tempfile.NamedTemporaryFile(suffix=suffix)


def path(file: IO[bytes], process: str = "self") -> str:
    """Name such a file, for this process, or as the process of this number has it."""
    return f"/proc/{process}/fd/{file.fileno()}" if isinstance(file.name, int) else file.name
