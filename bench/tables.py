"""Tables in markdown, and pages whose newest section is on top."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness import __version__
from harness.nightly import code

ROOT = Path(__file__).parents[1]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table; what would end a cell early is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") or " " for cell in line) + " |" for line in lines)


def head(now: datetime | None = None) -> str:
    """Say when, on which machine and of which version a section is."""
    version = f"{__version__} {code.commit(ROOT)}".strip()
    return f"## {now or datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, harness {version}\n"


def on_top(page: Path, title: str, section: str, older: str) -> None:
    """Put a section on top of a page, whole or not at all; `title` is all that stands above it."""
    page.parent.mkdir(exist_ok=True)
    fresh = page.with_suffix(".new")
    fresh.write_text("\n".join([title, section, older]).rstrip() + "\n", encoding="utf-8")
    fresh.replace(page)


def older(page: Path, title: str) -> str:
    """Return the sections that a page has below its title."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return text.partition(title)[2].strip() if title in text else ""
