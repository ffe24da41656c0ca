"""`harness list`: which experiments are there?"""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options

USUAL = Path("experiments")


@click.command("list")
@click.argument("files", nargs=-1, type=options.EXISTING)
@options.one_set
def command(files: tuple[Path, ...], only: str | None) -> None:
    """List the experiments with their sets, faults and the verdict each declares.

    FILES are experiments, or folders of them; `experiments` by default.
    """
    from harness.cli import documents
    from harness.report.inert import line

    if not files and not USUAL.is_dir():
        raise documents.NothingRan("no experiment here", where=f"{USUAL}/", hint="name a file or a folder")
    experiments = documents.load(files or (USUAL,), only=only)
    # A file's name and a title are anybody's text.
    names = [line(experiment.name) for experiment in experiments]
    width = max(map(len, names))
    for name, experiment in zip(names, experiments, strict=True):
        kinds = ", ".join(sorted({fault.kind for fault in experiment.faults})) or "-"
        sets = ",".join(sorted(experiment.sets)) or "-"
        click.echo(
            f"{name:<{width}}  {experiment.expect.verdict:<8}  {sets:<14}  {kinds:<14}  {line(experiment.title)}"
        )
