"""The ledger: runs, their faults and how to undo them."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path

from harness.keeper.resident.docker import Op

REMEMBERED = 200


class Ledger:
    """Runs, their faults and how to undo them; on disk before anyone is told so."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.RLock()
        self.runs: dict[str, dict[str, list[Op]]] = {}
        self.expired: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            found = json.loads(path.read_text())
            self.runs, self.expired = found["runs"], found["expired"]

    def save(self) -> None:
        """Write everything and return when the disk has it."""
        draft = self.path.with_suffix(".new")
        with draft.open("w") as file:
            json.dump({"runs": self.runs, "expired": self.expired[-REMEMBERED:]}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
