"""`harness clean`: remove what was built, too."""

from __future__ import annotations

import click


@click.command("clean")
@click.confirmation_option(prompt="Remove the local cluster, the private Docker daemon and what was built here?")
def command() -> None:
    """Remove the local cluster, the private Docker daemon and what was built here; the next `up` is cold.

    Installed packages, pulled images and, unless HARNESS_CACHE is set, Go's own caches stay.
    """
    from harness.cluster import down

    down.clean(lambda line: click.echo(line, err=True))
