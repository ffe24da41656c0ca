"""`harness run`: do it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.model import strategy

if TYPE_CHECKING:
    from harness.model.experiment import Experiment


@click.command("run")
@click.argument("files", nargs=-1, required=True, type=options.EXISTING)
@options.one_set
@click.option("--seed", type=int, help="Number that picks targets and load; printed when not given.")
@click.option("--dry-run", is_flag=True, help="Print the plan and touch nothing.")
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Run all of them N times, in rounds, so that two runs of one are no neighbours; ends with verdicts counted.",
)
@click.option(
    "--hypothesis-strategy",
    type=click.Choice(strategy.HYPOTHESIS),
    help="When the hypothesis is asked; for documents without our extension, as `chaos run` takes it.",
)
@click.option(
    "--rollback-strategy",
    type=click.Choice(strategy.ROLLBACKS),
    help="When rollbacks are done, as `chaos run` has it.",
)
@click.option("--var", multiple=True, metavar="NAME[:TYPE]=VALUE", help="Replace a value of `configuration`.")
@click.option(
    "--var-file",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Replace values of `configuration` and `secrets`; NAME=VALUE lines set the environment.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print verdicts only.")
@options.runs
@options.cluster
def command(
    files: tuple[Path, ...],
    only: str | None,
    seed: int | None,
    dry_run: bool,
    repeat: int,
    hypothesis_strategy: str | None,
    rollback_strategy: str | None,
    var: tuple[str, ...],
    var_file: tuple[Path, ...],
    quiet: bool,
    runs: Path,
    context: str | None,
    kubeconfig: Path | None,
) -> None:
    """Run experiments one after another; the exit code is that of the worst.

    FILES are experiments, or folders of them. One that fails does not keep the next from beginning; only one that
    left something broken does, or Ctrl-C. `harness plan` says before what would be touched.
    """
    from harness.cli import documents, errors
    from harness.documents import strategies
    from harness.engine import run
    from harness.engine.options import Options
    from harness.engine.preflight import overrides
    from harness.errors import Exit
    from harness.model.verdict import worst
    from harness.nightly import parts, repeats, sets

    if dry_run and repeat > 1:
        raise click.UsageError("--repeat counts verdicts, and --dry-run gives none.")
    experiments = [
        replace(
            one,
            strategy=strategies.chosen(
                hypothesis_strategy or "", one.strategy, promising=one.promising, where=str(one.path)
            ),
            rolls_back=rollback_strategy or one.rolls_back,
        )
        for one in documents.load(files, only=only, given=overrides.read(var, var_file))
    ]
    overrides.require_stated(var, var_file, experiments)
    say = None if quiet else (lambda line: click.echo(line, err=True))
    chosen = Options(kubeconfig=kubeconfig, context=context, seed=seed, runs=runs, say=say)
    if dry_run:
        sys.exit(worst(_plans(experiments, lambda experiment: run.dry_run(experiment, chosen))))
    # Of a single one the run itself says so.
    lacking = parts.lacking(experiments, chosen) if len(experiments) > 1 else ""
    for line in [*sets.foreword(len(experiments) * repeat), *([lacking] if lacking else [])]:
        click.echo(line, err=True)
    codes: list[int] = []
    ended: list[tuple[str, str, bool]] = []
    try:
        for result in sets.walk(experiments * repeat, chosen):
            if result.outcome:
                click.echo(result.outcome.text)
            elif result.error:
                errors.show(result.error)
            codes.append(result.code)
            if repeat > 1:
                ended.append((result.experiment.name, result.verdict, result.right))
    except KeyboardInterrupt:
        codes.append(int(Exit.INTERRUPTED))
    if ended:
        click.echo("\n".join(["", *repeats.table(repeats.count(ended))]))
    sys.exit(worst(codes))


def _plans(experiments: Sequence[Experiment], plan: Callable[[Experiment], str]) -> Iterator[int]:
    """Print each plan, or why there is none, and give the exit codes."""
    from harness.cli import errors
    from harness.errors import Exit, HarnessError

    for experiment in experiments:
        try:
            click.echo(plan(experiment))
        except HarnessError as error:
            errors.show(error)
            yield int(error.exit)
        else:
            yield int(Exit.PASS)
