"""`harness nightly`: is it still as it was?"""

from __future__ import annotations

import secrets
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.model.experiment import SETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engine.options import Options
    from harness.model.experiment import Experiment
    from harness.nightly.record import Record
    from harness.nightly.sets import Result

USUAL = Path("experiments")


def _shard(text: str) -> tuple[int, int]:
    """Read `i/n`, counted from 1."""
    first, _, last = text.partition("/")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise click.BadParameter(f"{text!r} is no shard; write 1/3 for the first of three")
    return int(first), int(last)


@click.command("nightly")
@click.argument("files", nargs=-1, type=options.EXISTING)
@click.option("--set", "only", type=click.Choice(SETS), default="nightly", show_default=True, help="Which experiments.")
@click.option("--seed", type=int, help="Seed for targets and load of the whole night; printed when not given.")
@click.option(
    "--history",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("nightly"),
    show_default=True,
    help="Folder of all nights: history.jsonl, index.html, summary.md, junit.xml.",
)
@click.option(
    "--since", metavar="WHAT", help="Compare with `green`, `code`, `same` (all three by default), or a NIGHT."
)
@click.option(
    "--shard",
    type=_shard,
    metavar="I/N",
    help="Run the I-th of N parts; give every part the same history and --night.",
)
@click.option("--night", metavar="NAME", help="Name of this night; its start when not given.")
@click.option("--draw", is_flag=True, help="Run nothing: draw the last night of the history again.")
@options.runs
@options.cluster
def command(
    files: tuple[Path, ...],
    only: str,
    seed: int | None,
    history: Path,
    since: str | None,
    shard: tuple[int, int] | None,
    night: str | None,
    draw: bool,
    runs: Path,
    context: str | None,
    kubeconfig: Path | None,
) -> None:
    """Run a set, once more what was not as declared, and compare the night with earlier ones.

    FILES are experiments or folders of them, `experiments` by default. The second run of an experiment comes after the
    whole set and has the same seed. A `flip` was right then. A `regression` was wrong again, and earlier nights were
    right more often than chance explains. `green` compares with the nights up to the last one in which the experiment
    was right, `code` with those before the code of tonight, `same` with earlier ones on the same code.

    The exit code is that of the worst last run. A flip is shown everywhere and does not fail the night, unless the
    experiment has flipped so often that its rate is above 1 %, beyond chance: then its first run counts, too. So a
    second flip within 12 nights fails, or a third within 34. Slower recovery is named and fails nothing.
    """
    from harness.cli import documents
    from harness.engine.options import Options
    from harness.errors import Exit
    from harness.model.verdict import worst
    from harness.nightly import comparison, nights, sheet, views
    from harness.nightly import history as kept

    if not files and not USUAL.is_dir():
        raise documents.NothingRan("no experiment here", where=f"{USUAL}/", hint="name a file or a folder")
    experiments = documents.load(files or (USUAL,), only=only)
    before = kept.read(history)
    comparison.references(since, nights.fold(before.records))
    codes: list[int] = []
    if not draw:
        night = night or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        seed = secrets.randbelow(1_000_000) if seed is None else seed
        chosen = Options(kubeconfig=kubeconfig, context=context, seed=seed, runs=runs)
        part = _part(experiments, shard, before.records)
        try:
            _run(part, chosen, history, night, seed)
        except KeyboardInterrupt:
            codes.append(int(Exit.INTERRUPTED))
    found = sheet.build(kept.read(history), [(one.name, one.title) for one in experiments], since, night)
    if found is None:
        click.echo("no night to draw: nothing ran", err=True)
        sys.exit(worst([*codes, int(Exit.NOTHING_RAN)]))
    click.echo(views.write(found, history, runs))
    sys.exit(worst([*codes, found.code]))


def _part(experiments: list[Experiment], shard: tuple[int, int] | None, records: Sequence[Record]) -> list[Experiment]:
    from harness.cli import documents
    from harness.nightly import shards

    if shard is None:
        return experiments
    part = shards.pick(experiments, *shard, shards.seconds(records))
    if not part:
        raise documents.NothingRan(
            f"shard {shard[0]}/{shard[1]} is empty", why=f"{len(experiments)} experiments are few"
        )
    return part


def _run(experiments: Sequence[Experiment], options: Options, history: Path, night: str, seed: int) -> None:
    from harness.nightly import code, conduct, sets
    from harness.nightly import history as kept
    from harness.nightly.record import Setting

    judged, context = code.of(experiments[0].path, options)
    kept.prepare(history)
    for line in sets.foreword(len(experiments)):
        click.echo(line)
    click.echo(f"night {night}  {len(experiments)} experiments  seed {seed}  {context}  {judged}")
    say = partial(click.echo, err=True)
    conduct.run(experiments, options, Setting(night, seed, judged, context), history, _tell, say)


def _tell(result: Result, record: Record, number: int, of: int) -> None:
    from harness.cli import errors

    again = "again " if record.attempt > 1 else ""
    took = f"{record.seconds:.1f} s  run {record.run}" if record.run else ""
    mark = "v" if result.right else "x"
    click.echo(f"{again}{number:>3}/{of}  {mark} {record.experiment}  {result.verdict}  {took}".rstrip())
    if result.outcome and not result.right:
        click.echo(result.outcome.text)
    elif result.error:
        errors.show(result.error)
