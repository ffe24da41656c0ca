"""`harness show`: a run's end, or its whole log."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from harness.cli import options

NARROW, WIDE = 40, 100


@click.command("show")
@click.argument("run", default="latest")
@click.option("--log", is_flag=True, help="Print every event of the journal, one a line.")
@options.runs
def command(run: str, log: bool, runs: Path) -> None:
    """Show a run by the start of its name; the newest when none is named."""
    from harness import report
    from harness.journal import reader
    from harness.journal.runs import find
    from harness.report.inert import line

    found = find(runs, run)
    events = reader.begun(found.dir)
    if not log:
        # It is none where the standard output is closed.
        seen = bool(sys.stdout) and sys.stdout.isatty()
        place = options.place(found.dir)
        click.echo(report.text(events, color=seen and "NO_COLOR" not in os.environ, width=_width(seen), place=place))
        return
    for event in events:
        phase, kind = (line(text) for text in (event.phase, event.type))
        data = ", ".join(f"{line(key)}={line(value)}" for key, value in event.data.items())
        click.echo(f"{event.t:9.3f}  {phase:<9}  {kind:<20}  {data}"[:400])


def _width(terminal: bool) -> int:
    """Return how wide lines may be: as the terminal is, where there is one and a table fits."""
    return max(NARROW, shutil.get_terminal_size().columns) if terminal else WIDE
