"""Every view of a run, drawn from its journal alone; a run that died has them too."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.journal import operations, reader
from harness.journal.event import Event
from harness.report import terminal
from harness.report.inert import inert
from harness.report.view import build
from harness.source import encoding

__all__ = ["Written", "text", "write"]


class Written(NamedTuple):
    """The block that ends a run, which files could not be written beside its journal and why, and what is lacking."""

    text: str
    failed: Mapping[str, str]
    lacking: str


def text(events: Sequence[Event], *, color: bool = False, width: int = 100, place: str = "") -> str:
    """Return the block that ends a run, from its events; `place` is its folder, where commands have to name that."""
    return terminal.draw(build(events), color=color, width=width, place=place)


def write(dir: Path, *, place: str = "") -> Written:
    """Rebuild index.html, junit.xml, summary.md and result.txt beside the journal.

    `place` is its folder, where commands have to name that: a copy still says where its run was made.
    A disk that takes no file cannot hide the verdict: the block then says what could not be written.
    """
    from harness.report import html, junit, markdown

    events, found = reader.read(dir), operations.read(dir)
    view, lacking = build(events, found), operations.lacking(events, found)
    if lacking:
        told = {"where": str(dir / operations.FILE), "what": lacking, "why": "the file was cut, damaged or left behind"}
        told |= {"hint": "the verdict is from when the run ended, the charts are from what is left"}
        view = dataclasses.replace(view, errors=(*view.errors, inert(told)))
    block = terminal.draw(view, report=str(dir / "index.html"), place=place)
    views: dict[str, Callable[[], str]] = {
        "result.txt": lambda: block + "\n",
        "junit.xml": lambda: junit.draw([(view, dir)]),
        "summary.md": lambda: markdown.draw(view, dir),
        "index.html": lambda: html.draw(view, place),
    }
    failed: dict[str, str] = {}
    for name, draw in views.items():
        try:
            # The folder's name stands in them, and need not be text.
            encoding.write(dir / name, draw(), errors="replace")
        except OSError as error:
            failed[name] = error.strerror or str(error)
            block += f"\nerror  {name} was not written: {error}"
    return Written(block, failed, lacking)
