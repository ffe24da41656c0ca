"""`harness runs`: which runs were there?"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from harness.cli import options


@click.command("runs")
@options.runs
def command(runs: Path) -> None:
    """List the runs, newest first, with their verdicts."""
    from harness.journal.runs import every
    from harness.report.inert import line

    found = every(runs)
    if not found:
        click.echo(f"no run in {runs}", err=True)
    for run in found:
        when = datetime.fromtimestamp(run.started, UTC)
        verdict = "unreadable" if run.unreadable else line(run.verdict) or "unfinished"
        told = line(run.experiment or run.unreadable)
        click.echo(f"{line(run.run)}  {when:%Y-%m-%d %H:%M:%S}Z  {verdict:<12}  {told}")
