"""Let a session write to any terminal: one whose reader left costs neither undo nor verdict, nor does its encoding."""

from __future__ import annotations

import os
from typing import Any

import pytest


class Patient:
    """A terminal's file that may be cut, by a reader who leaves or a full disk: from then on all goes nowhere.

    What its encoding cannot hold is replaced; pytest would write the whole text in escapes, line ends too.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Write a text, or nothing once the file is cut."""
        encoding = getattr(self._file, "encoding", None) or "utf-8"
        try:
            return int(self._file.write(text.encode(encoding, "replace").decode(encoding)))
        except OSError:  # the reader has left, or the disk is full
            self._to_nowhere()
            return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        try:
            self._file.flush()
        except OSError:  # the reader has left, or the disk is full
            self._to_nowhere()

    def _to_nowhere(self) -> None:
        # What is still in buffers must find a place, too: Python would end with an exit code of its own for it.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._file.fileno())
        os.close(nowhere)


def bear(config: pytest.Config) -> None:
    """Make the session's terminal patient, if it has one."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    writer: Any = getattr(reporter, "_tw", None)
    if writer is not None and hasattr(writer, "_file") and not isinstance(writer._file, Patient):
        writer._file = Patient(writer._file)
