"""`harness plan`: what would be touched?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli import options


@click.command("plan")
@click.argument("files", nargs=-1, required=True, type=options.EXISTING)
@click.option("--seed", type=int, help="Number that picks among the pods that match; the same one picks the same.")
@click.option("--role", is_flag=True, help="Print the rights that these need, for `kubectl apply`; asks no cluster.")
@options.cluster
def command(
    files: tuple[Path, ...], seed: int | None, role: bool, context: str | None, kubeconfig: Path | None
) -> None:
    """Name every target by name and UID, check every cap, touch nothing.

    FILES are experiments, or folders of them. With --role it prints a Role for each namespace that they stay in, or
    one ClusterRole where any stays in none; an administrator applies that, and binds it to whoever runs.
    """
    from harness.cli import documents, errors
    from harness.engine import run
    from harness.engine.options import Options
    from harness.errors import Exit, HarnessError
    from harness.model.verdict import worst

    experiments = documents.load(files)
    if role:
        import yaml

        from harness.engine.planning.rights import roles_for, unknown_to

        for name in unknown_to(experiments):
            click.echo(f"# not known, so not among the rules: what step {name!r} asks of the cluster")
        click.echo(yaml.dump_all(roles_for(experiments), sort_keys=False), nl=False)
        return
    codes: list[int] = []
    for experiment in experiments:
        # What one of them may not touch keeps nobody from the plans of the others.
        try:
            click.echo(run.dry_run(experiment, Options(kubeconfig=kubeconfig, context=context, seed=seed)))
            if experiment.schedule:
                from harness.schedule import due

                click.echo(f"  due      {due.text(experiment.schedule)}, by `harness schedule`")
        except HarnessError as error:
            errors.show(error)
            codes.append(int(error.exit))
    sys.exit(worst([*codes, int(Exit.PASS)]))
