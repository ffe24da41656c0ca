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

    found = every(runs)
    if not found:
        click.echo(f"no run in {runs}", err=True)
    for run in found:
        when = datetime.fromtimestamp(run.started, UTC)
        click.echo(f"{run.run}  {when:%Y-%m-%d %H:%M:%S}Z  {run.verdict or 'unfinished':<12}  {run.experiment}")
