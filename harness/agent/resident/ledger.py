"""The agent's ledger: which faults of which runs it did on this node, on disk before the effect.

It also remembers what was ever begun: a fault that the API server still shows after a restart is not done twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from harness.agent.resident.refused import Refused

REMEMBERED = 200
Entry = dict[str, Any]


class Ledger:
    """Faults with their run and what heals them, and the runs that have expired; on disk when a call returns.

    On a full disk nothing more is owed. What is struck out is, and written with what comes next: an agent that starts
    before that undoes once more what is undone, which changes nothing.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there; a file that cannot be read is put aside, or the agent would heal nothing at all."""
        self.path, self._lock = path, threading.RLock()
        self._faults: dict[str, Entry] = {}
        self._expired: list[str] = []
        self._begun: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            try:
                found = json.loads(path.read_text())
                self._faults, self._expired = dict(found["faults"]), list(found["expired"])
                self._begun = list(found["begun"])
            except (ValueError, KeyError, TypeError):
                path.replace(path.with_suffix(".broken"))

    def faults(self) -> dict[str, Entry]:
        """Return a copy of what is owed."""
        with self._lock:
            return dict(self._faults)

    def owe(self, name: str, entry: Entry) -> bool:
        """Write a fault down; False for one that was begun before or whose run is over. Raises Refused."""
        with self._lock:
            if name in self._begun or entry["run"] in self._expired:
                return False
            self._owe(name, entry, [*self._begun[1 - REMEMBERED :], name])
            return True

    def add(self, name: str, more: Entry) -> None:
        """Write down of a fault that is owed what was found out since, before the effect that it is about.

        Raises Refused.
        """
        with self._lock:
            self._owe(name, {**self._faults[name], **more}, self._begun)

    def forget(self, name: str) -> None:
        """Strike a fault out."""
        with self._lock:
            if self._faults.pop(name, None) is not None:
                with contextlib.suppress(OSError):
                    self._save()

    def expire(self, run: str) -> None:
        """Note that a run is over for good."""
        with self._lock:
            if run not in self._expired:
                self._expired = [*self._expired[1 - REMEMBERED :], run]
                with contextlib.suppress(OSError):
                    self._save()

    def expired(self, run: str) -> bool:
        """Say whether a run is over for good."""
        with self._lock:
            return run in self._expired

    def _owe(self, name: str, entry: Entry, begun: list[str]) -> None:
        before = self._faults, self._begun
        self._faults, self._begun = {**self._faults, name: entry}, begun
        try:
            self._save()
        except OSError as error:
            self._faults, self._begun = before
            raise Refused("the ledger cannot be written", error.strerror or str(error)) from error

    def _save(self) -> None:
        draft = self.path.with_suffix(".new")
        with draft.open("w") as file:
            json.dump({"faults": self._faults, "expired": self._expired, "begun": self._begun}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
