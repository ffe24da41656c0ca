"""`harness down`: remove the local cluster."""

from __future__ import annotations

import click


@click.command("down")
def command() -> None:
    """Remove the local cluster, the keeper and what they started; caches stay."""
    from harness.cluster import down

    down.down(lambda line: click.echo(line, err=True))
