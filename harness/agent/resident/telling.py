"""Tell JSON lines, and never wait for whoever should read them."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any


class Teller:
    """One end of a pipe; a line that finds it full or closed is lost, and counted."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.lost = 0
        with contextlib.suppress(OSError):
            os.set_blocking(handle, False)

    def __call__(self, event: str, **facts: Any) -> None:
        """Tell one event; a line below 4096 bytes is written whole or not at all (PIPE_BUF)."""
        try:
            os.write(self._handle, json.dumps({"event": event, **facts}).encode() + b"\n")
        except OSError:
            self.lost += 1
