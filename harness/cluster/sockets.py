"""Reach a Unix socket however deep its folder lies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Bytes of a socket's path: sun_path without its end, unix(7).
LONGEST = 107


@contextmanager
def named(path: Path) -> Iterator[str]:
    """Return a name to connect to a socket by: its path, or a short one through its folder, which is held open.

    Raises OSError where there is no such folder.
    """
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
