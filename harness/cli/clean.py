"""`harness clean`: remove what was built, too."""

from __future__ import annotations

import click

from harness.cli.up import refuse_during_a_run


@click.command("clean")
@click.confirmation_option(prompt="Remove the local cluster, the private Docker daemon and what was built here?")
def command() -> None:
    """Remove the local cluster, the private Docker daemon and what was built here; the next `up` is cold.

    What they changed of packet filter and kernel is given back. Installed packages, which are named, pulled images, the
    build cache of a Docker daemon that is not ours and, unless HARNESS_CACHE is set, Go's own caches stay.
    """
    from harness.cluster import down

    refuse_during_a_run("its cluster would be gone")
    down.clean(lambda line: click.echo(line, err=True))
