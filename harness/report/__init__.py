"""Every view of a run, drawn from its journal alone."""

from __future__ import annotations

from pathlib import Path

from harness.journal import reader
from harness.report.terminal import text

__all__ = ["text", "write"]


def write(dir: Path) -> str:
    """Rebuild every view beside the journal and return the end-of-run block."""
    block = text(reader.read(dir))
    (dir / "result.txt").write_text(block + "\n")
    return block
