"""`harness clean`: remove the caches too."""

from __future__ import annotations

import click


@click.command("clean")
@click.confirmation_option(prompt="Remove the local cluster, the private Docker daemon and every cache?")
def command() -> None:
    """Remove the local cluster, the private Docker daemon and every cache; the next `up` is cold."""
    from harness.cluster import down

    down.clean(lambda line: click.echo(line, err=True))
