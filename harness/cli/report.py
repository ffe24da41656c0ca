"""`harness report`: rebuild a run's report."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options
from harness.errors import UsageError


@click.command("report")
@click.argument("run", default="latest")
@options.runs
def command(run: str, runs: Path) -> None:
    """Rebuild index.html, junit.xml and summary.md of a run from its journal, also of a run that died."""
    from harness import report
    from harness.journal import reader
    from harness.journal.runs import find

    found = find(runs, run)
    # Before anything is written: what is drawn of nothing would replace what was drawn.
    reader.begun(found.dir)
    _, failed, lacking = report.write(found.dir, place=options.place(found.dir))
    if lacking:
        click.echo(f"note: {found.dir}: {lacking}", err=True)
    if failed:
        raise UsageError(
            f"not written: {', '.join(failed)}",
            where=str(found.dir),
            why="; ".join(dict.fromkeys(failed.values())),
            hint="make room, or copy the folder to where it can be written: `harness report FOLDER`",
        )
    click.echo(str(found.dir / "index.html"))
