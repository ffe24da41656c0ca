"""`harness keeper`: who undoes what was done to the nodes of another cluster?"""

from __future__ import annotations

from pathlib import Path

import click


@click.command("keeper")
@click.argument("table", type=click.Path(path_type=Path))
@click.option(
    "--socket", required=True, type=click.Path(path_type=Path), help="Where it listens; HARNESS_KEEPER names it."
)
def command(table: Path, socket: Path) -> None:
    """Stop, freeze and enter nodes of another cluster for runs, by the commands of TABLE; undo it when a run dies.

    It goes on until it is ended, and heals what its ledger names when it is started again. Let it outlive the runs, as
    a service that is always restarted.
    """
    from harness.keeper import commands
    from harness.keeper.table import read

    commands.keep(read(table), socket)
