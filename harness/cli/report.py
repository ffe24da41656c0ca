"""`harness report`: rebuild a run's report."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options


@click.command("report")
@click.argument("run", default="latest")
@options.runs
def command(run: str, runs: Path) -> None:
    """Rebuild index.html, junit.xml and summary.md of a run from its journal, also of a run that died."""
    from harness import report
    from harness.journal.runs import find

    found = find(runs, run)
    report.write(found.dir)
    click.echo(str(found.dir / "index.html"))
