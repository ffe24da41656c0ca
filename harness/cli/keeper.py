"""`harness keeper`: who undoes what was done to the nodes of another cluster?"""

from __future__ import annotations

from pathlib import Path

import click


@click.command("keeper")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--socket", required=True, type=click.Path(path_type=Path), help="Where it listens: HARNESS_KEEPER.")
def command(table: Path, socket: Path) -> None:
    """Do to nodes of another cluster what runs ask for, by the commands of a table, and undo it when they die.

    It runs until it is ended, and heals what its ledger names when it is started again; run it where it outlives the
    runs, as a service that is always restarted.
    """
    from harness.keeper import commands
    from harness.keeper.table import read

    commands.keep(read(table), socket)
