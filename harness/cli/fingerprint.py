"""`harness fingerprint`: is everything as it was found?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
import click

from harness.cli import options
from harness.errors import Exit


@click.command("fingerprint")
@click.option("--save", type=click.Path(path_type=Path), help="Write the fingerprint to this file.")
@click.option("--compare", type=options.EXISTING, help="Compare with a saved one; a difference ends with exit code 6.")
@options.cluster
def command(save: Path | None, compare: Path | None, context: str | None, kubeconfig: Path | None) -> None:
    """Print one line per thing a fault could have left behind, and one word for all of them."""
    from harness.engine import contexts, fingerprint

    async def look() -> dict[str, str]:
        kube, cluster = contexts.connect(kubeconfig, context)
        async with kube:
            return await fingerprint.take(kube, cluster)

    lines = anyio.run(look)
    if save:
        save.write_text(json.dumps(lines, indent=1) + "\n")
    if compare:
        changed = fingerprint.difference(json.loads(compare.read_text()), lines)
        for line in changed:
            click.echo(line)
        click.echo(f"{len(changed)} differences" if changed else f"equal  {fingerprint.digest(lines)}")
        sys.exit(Exit.DIRTY if changed else Exit.PASS)
    if not save:
        for key, value in lines.items():
            click.echo(f"{key}  {value}")
    click.echo(fingerprint.digest(lines))
