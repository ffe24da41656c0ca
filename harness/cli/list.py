"""`harness list`: which experiments are there?"""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options


@click.command("list")
@click.argument("files", nargs=-1, type=options.EXISTING)
@click.option("--set", "only", help="Only the experiments of this set.")
def command(files: tuple[Path, ...], only: str | None) -> None:
    """List the experiments with their sets, faults and the verdict each declares."""
    from harness.cli import documents

    experiments = documents.load(files or (Path("experiments"),), only=only)
    if not experiments:
        raise documents.NothingRan("no experiment here", where=", ".join(map(str, files)) or "experiments/")
    width = max(len(experiment.name) for experiment in experiments)
    for experiment in experiments:
        kinds = ", ".join(sorted({fault.kind for fault in experiment.faults})) or "-"
        sets = ",".join(sorted(experiment.sets)) or "-"
        click.echo(
            f"{experiment.name:<{width}}  {experiment.expect.verdict:<8}  {sets:<14}  {kinds:<14}  {experiment.title}"
        )
