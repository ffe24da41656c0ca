"""`harness run`: do it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli import options


@click.command("run")
@click.argument("files", nargs=-1, required=True, type=options.EXISTING)
@options.one_set
@click.option("--seed", type=int, help="Seed for targets and load; printed when not given.")
@click.option("--dry-run", is_flag=True, help="Print the plan and touch nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Print verdicts only.")
@options.runs
@options.cluster
def command(
    files: tuple[Path, ...],
    only: str | None,
    seed: int | None,
    dry_run: bool,
    quiet: bool,
    runs: Path,
    context: str | None,
    kubeconfig: Path | None,
) -> None:
    """Run experiments one after another; the exit code is that of the worst."""
    from harness.cli import documents
    from harness.engine import run
    from harness.engine.options import Options
    from harness.errors import InjectionFailed
    from harness.model.verdict import Verdict, worst

    experiments = documents.load(files, only=only)
    say = None if quiet else (lambda line: click.echo(line, err=True))
    chosen = Options(kubeconfig=kubeconfig, context=context, seed=seed, runs=runs, say=say)
    codes: list[int] = []
    for experiment in experiments:
        if dry_run:
            click.echo(run.dry_run(experiment, chosen))
            codes.append(0)
            continue
        try:
            outcome = run.run(experiment, chosen)
        except InjectionFailed as error:  # refused before anything was touched; the next one may fare better
            click.echo(f"error: {error}", err=True)
            codes.append(int(error.exit))
            continue
        click.echo(outcome.text)
        codes.append(outcome.exit)
        if outcome.verdict is Verdict.DIRTY or outcome.exit == 130:
            break
    sys.exit(worst(codes))
