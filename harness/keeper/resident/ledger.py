"""The ledger: runs, their faults and how to undo them."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path

from harness.keeper.resident.docker import Op, Refused

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

    def owe(self, run: str, faults: dict[str, list[Op]]) -> None:
        """Write down what a run owes, instead of what it owed; raises Refused, and nothing is changed then."""
        before, self.runs = self.runs, {**self.runs, run: faults}
        try:
            self._save()
        except OSError as error:
            self.runs = before
            raise Refused("failed", "the ledger cannot be written", error.strerror or str(error)) from error

    def note(self) -> None:
        """Write what was struck off; where the disk takes nothing, it is written with what is owed next.

        A keeper that starts before that undoes once more what is undone, which changes nothing.
        """
        with contextlib.suppress(OSError):
            self._save()

    def _save(self) -> None:
        """Write everything and return when the disk has it."""
        draft = self.path.with_suffix(".new")
        with draft.open("w") as file:
            json.dump({"runs": self.runs, "expired": self.expired[-REMEMBERED:]}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
