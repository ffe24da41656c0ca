"""`harness fingerprint`: is everything as it was found?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
import click

from harness.cli import options
from harness.errors import Exit, UsageError


@click.command("fingerprint")
@click.option("--save", type=click.Path(path_type=Path), help="Write the fingerprint to this file.")
@click.option("--compare", type=options.EXISTING, help="Compare with a saved one; a difference ends with exit code 6.")
@options.namespace
@options.cluster
def command(
    save: Path | None, compare: Path | None, namespace: str, context: str | None, kubeconfig: Path | None
) -> None:
    """Print one line per thing a fault could have left behind, and one word for all of them."""
    from harness.engine import contexts
    from harness.engine.preflight import scope
    from harness.engine.undoing import fingerprint

    before = _saved(compare) if compare else {}

    async def look() -> dict[str, str]:
        kube, cluster = contexts.connect(kubeconfig, context)
        async with kube:
            found = await scope.of(kube, namespace)
            if found.alone:
                click.echo(f"only namespace {found.system} is looked at", err=True)
            return await fingerprint.take(kube, cluster, found)

    lines = anyio.run(look)
    if save:
        try:
            save.write_text(json.dumps(lines, indent=1) + "\n")
        except OSError as error:
            raise UsageError("it cannot be saved there", where=str(save), why=error.strerror or str(error)) from error
    if compare:
        changed = fingerprint.difference(before, lines)
        for line in changed:
            click.echo(line)
        click.echo(f"{len(changed)} differences" if changed else f"equal  {fingerprint.digest(lines)}")
        sys.exit(Exit.DIRTY if changed else Exit.PASS)
    if not save:
        for key, value in lines.items():
            click.echo(f"{key}  {value}")
    click.echo(fingerprint.digest(lines))


def _saved(path: Path) -> dict[str, str]:
    """Read a saved fingerprint; raises UsageError for what is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        found, why = None, str(error)
    except RecursionError:
        found, why = None, "it is nested too deep"
    else:
        why = "it must be one line for each thing, as --save writes it"
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        hint = "harness fingerprint --save FILE"
        raise UsageError("this is no saved fingerprint", where=str(path), why=why, hint=hint)
    return found
