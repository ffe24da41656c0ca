"""Write every view of a night beside its history; each can be drawn again from the history alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from harness.nightly import junit, page, summary, text
from harness.nightly.sheet import Sheet

# Where a job of GitHub Actions takes what it shows.
JOB_SUMMARY = "GITHUB_STEP_SUMMARY"


def write(sheet: Sheet, folder: Path, runs: Path) -> str:
    """Write index.html, summary.md and junit.xml, and the job's summary where there is one; return the night's block.

    A disk that takes no file cannot hide the verdict: the block then says what could not be written.
    """
    block = text.draw(sheet)
    views: dict[Path, Callable[[], str]] = {
        folder / "index.html": lambda: page.draw(sheet, folder, runs),
        folder / "summary.md": lambda: summary.draw(sheet),
        folder / "junit.xml": lambda: junit.draw(sheet, runs),
    }
    for path, draw in views.items():
        block += _written(path, draw())
    if job := os.environ.get(JOB_SUMMARY):
        block += _written(Path(job), summary.draw(sheet), mode="a")
    return f"{block}\npage  {folder / 'index.html'}"


def _written(path: Path, content: str, mode: str = "w") -> str:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(content)
    except OSError as error:
        return f"\nerror  {path} was not written: {error}"
    return ""
