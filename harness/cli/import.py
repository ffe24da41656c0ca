"""`harness import`: make an experiment of what another tool is told."""

from __future__ import annotations

import os
from pathlib import Path

import click

from harness.cli import options


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=options.EXISTING)
@click.option("--namespace", "-n", multiple=True, help="A namespace that may be touched; again for each.")
@click.option("--selector", "-l", default="", help="Labels of the pods, where Litmus' file names none.")
@click.option("--pods", type=click.IntRange(min=1), help="How many may be broken, where it says a share.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write each experiment into this folder, by its name; else they are printed.",
)
def command(
    files: tuple[Path, ...], namespace: tuple[str, ...], selector: str, pods: int | None, into: Path | None
) -> None:
    """Make experiments of a workload that runs chaoskube, or of a ChaosEngine of Litmus.

    FILES are YAML, with several objects or one; what else they hold is left alone. What cannot be honoured is refused
    with its line and the reason, and nothing is written then.
    """
    from harness.documents import imports, target
    from harness.errors import UsageError
    from harness.source import encoding

    try:
        names = tuple(target.namespace(name) for name in namespace)
        labels = target.selector(selector) if selector else ""
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    found = imports.read(files, imports.Wanted(names, labels, pods or 0))
    if into is None:
        click.echo("---\n".join(one.text for one in found), nl=False)
        return
    paths = [into / f"{one.name}.yaml" for one in found]
    at = into
    try:
        into.mkdir(parents=True, exist_ok=True)
        for at in paths:
            # A link that leads nowhere is there, too.
            if os.path.lexists(at):
                raise UsageError("this file is there already", where=str(at), hint="another folder for --into")
        for at, one in zip(paths, found, strict=True):
            encoding.write(at, one.text)
            click.echo(str(at))
    except OSError as error:
        raise UsageError("it cannot be written there", where=str(at), why=error.strerror or str(error)) from error
