"""`harness plan`: what would be touched?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli import options


@click.command("plan")
@click.argument("files", nargs=-1, required=True, type=options.EXISTING)
@click.option("--seed", type=int, help="Seed that picks the targets.")
@click.option("--role", is_flag=True, help="Also print the rules of the least ClusterRole that the plan needs.")
@options.cluster
def command(
    files: tuple[Path, ...], seed: int | None, role: bool, context: str | None, kubeconfig: Path | None
) -> None:
    """Name every target by name and UID, check every cap, touch nothing."""
    from harness.cli import documents
    from harness.engine import run
    from harness.engine.options import Options
    from harness.engine.plan import rules_for
    from harness.errors import Exit, HarnessError
    from harness.model.verdict import worst

    codes: list[int] = []
    for experiment in documents.load(files):
        # What one of them may not touch keeps nobody from the plans of the others.
        try:
            click.echo(run.dry_run(experiment, Options(kubeconfig=kubeconfig, context=context, seed=seed)))
        except HarnessError as error:
            click.echo(f"error: {error}", err=True)
            codes.append(int(error.exit))
            continue
        if role:
            import yaml

            click.echo(yaml.safe_dump({"rules": [dict(rule) for rule in rules_for(experiment)]}, sort_keys=False))
    sys.exit(worst([*codes, int(Exit.PASS)]))
