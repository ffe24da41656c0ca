"""`harness schedule`: do it again and again."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.model import units

if TYPE_CHECKING:
    from harness.engine.options import Options
    from harness.model.experiment import Experiment

FOREWORD = """\
# Before it, once and with an administrator's rights:
#   harness crds | kubectl apply -f -
#   kubectl label namespace {namespaces} {label}=true
# The image holds the repository in /work with its .venv: `COPY . /work`, `RUN make -C /work .venv/.installed` on a
# Python image. What needs a keeper (lost nodes and zones, pressure, a paused component) is refused in a pod.
"""


def _duration(text: str) -> float:
    try:
        return units.duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("schedule")
@click.argument("files", nargs=-1, required=True, type=options.EXISTING)
@click.option("--seed", type=int, help="Seed of the whole schedule; each run's comes from it and its time.")
@click.option("--for", "limit", type=_duration, metavar="DURATION", help="End after so long, with the worst code.")
@click.option("--dry-run", is_flag=True, help="Print the plan of each run when it is due, and touch nothing.")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    metavar="N",
    help="Remove the folders of runs that ended as declared or prove nothing, but for the newest N.",
)
@click.option("--manifest", is_flag=True, help="Print what runs this inside of a cluster, for `kubectl apply`.")
@click.option("--image", help="Image of the harness, which you build, for --manifest.")
@options.runs
@options.cluster
def command(
    files: tuple[Path, ...],
    seed: int | None,
    limit: float | None,
    dry_run: bool,
    manifest: bool,
    image: str | None,
    keep: int | None,
    runs: Path,
    context: str | None,
    kubeconfig: Path | None,
) -> None:
    """Run experiments again and again, each when its document says so, one at a time.

    FILES are experiments with a `schedule` in their harness extension, or folders of them. What is missed is counted
    and never made up for: while a run goes on, while the scheduler is away, when the machine sleeps. What is refused
    (the lever is on, another run goes on) is tried again when it is due again. SIGTERM and Ctrl-C undo what is broken
    and end it; so does something that could not be undone.

    `schedule.jsonl` beside the runs says what became of each time. Ended by a signal the exit code is 0, unless a run
    was cut; after --for it is that of the worst run.
    """
    if manifest and limit is not None:
        raise click.UsageError("--for would end what --manifest has a cluster begin anew.")
    if image is not None and not manifest:
        raise click.UsageError("--image is for --manifest; without that the schedule begins here.")
    from harness import __version__
    from harness.cli import documents
    from harness.engine.options import Options
    from harness.errors import UsageError

    found = documents.load(files)
    experiments = [one for one in found if one.schedule] if len(found) > 1 else found
    if any(one.schedule is None for one in experiments) or not experiments:
        raise UsageError(
            "no experiment here says when it is due",
            where=", ".join(map(str, files)),
            hint="in its harness extension: schedule: {every: 10m}, or {cron: '0 9-17 * * Mon-Fri'}",
        )
    names = [one.name for one in experiments]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"two experiments are named {twice}", hint="a schedule tells them apart by folder and file")
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    if manifest:
        words = [
            f"--seed={seed}",
            *(["--dry-run"] if dry_run else []),
            *([f"--keep={keep}"] if keep is not None else []),
        ]
        _print(experiments, image or f"kube-chaos-harness:{__version__}", words)
        return
    chosen = Options(kubeconfig=kubeconfig, context=context, seed=seed, runs=runs, dry_run=dry_run)
    _walk(experiments, chosen, limit, keep)


def _print(experiments: Sequence[Experiment], image: str, words: Sequence[str]) -> None:
    from harness.engine.contexts import OPT_IN_LABEL
    from harness.engine.planning.rights import unknown_to
    from harness.schedule import manifest

    namespaces = sorted({name for one in experiments for name in one.blast_radius.namespaces})
    click.echo(FOREWORD.format(namespaces=" ".join(namespaces), label=OPT_IN_LABEL), nl=False)
    for name in unknown_to(experiments):
        click.echo(f"# not known, so not among the rules: what step {name!r} asks of the cluster")
    click.echo(manifest.text(experiments, image, words), nl=False)


def _walk(experiments: Sequence[Experiment], chosen: Options, limit: float | None, keep: int | None) -> None:
    from harness.errors import Exit
    from harness.model.verdict import worst
    from harness.schedule import due, log
    from harness.schedule.bell import Bell
    from harness.schedule.conduct import conduct
    from harness.schedule.log import Tick
    from harness.schedule.perform import perform

    bell, ended = Bell(), list[Tick]()

    def tell(tick: Tick) -> None:
        click.echo(str(tick), err=tick.state in (log.REFUSED, log.FAILED))
        log.append(chosen.runs, tick)
        if keep is not None:
            log.thin(chosen.runs, keep)
        if tick.last:
            ended.append(tick)

    click.echo(f"seed {chosen.seed}")
    for one in experiments:
        if one.schedule:
            begins = log.shown(due.after(one.schedule, bell.now()))
            click.echo(f"{one.name}  {due.text(one.schedule)}; first at {begins}")
    with bell.listening():
        codes = conduct(
            experiments,
            lambda experiment, at: perform(experiment, at, chosen, bell, click.echo),
            bell,
            tell,
            last=log.last_seen(chosen.runs, [one.name for one in experiments]),
            limit=limit,
        )
    if bell.asked:
        click.echo(f"{bell.asked}: the schedule has ended")
    if ended:
        sys.exit(ended[0].exit)
    sys.exit(Exit.PASS if bell.asked else worst(codes))
