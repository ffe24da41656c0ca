"""`harness show`: a run's end, or its whole log."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options


@click.command("show")
@click.argument("run", default="latest")
@click.option("--log", is_flag=True, help="Print every event of the journal, one a line.")
@options.runs
def command(run: str, log: bool, runs: Path) -> None:
    """Show a run by the start of its name; the newest when none is named."""
    from harness import report
    from harness.journal import reader
    from harness.journal.runs import find

    events = reader.read(find(runs, run).dir)
    if not log:
        click.echo(report.text(events))
        return
    for event in events:
        data = ", ".join(f"{key}={value}" for key, value in event.data.items())
        click.echo(f"{event.t:9.3f}  {event.phase:<9}  {event.type:<20}  {data}"[:400])
