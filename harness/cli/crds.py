"""`harness crds`: what a cluster must know of us."""

from __future__ import annotations

import click


@click.command("crds")
def command() -> None:
    """Print the definitions of Fault and NodeFault, for `kubectl apply -f -` on a cluster that is not the local one."""
    import yaml

    from harness.resources.crds import definitions

    click.echo(yaml.safe_dump_all(definitions(), sort_keys=False), nl=False)
