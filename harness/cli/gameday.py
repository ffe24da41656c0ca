"""`harness gameday`: run an exercise."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.cli.agent import Whole

if TYPE_CHECKING:
    from harness.engine.options import Options
    from harness.gameday.conduct import Ask
    from harness.gameday.plan import GameDay
    from harness.gameday.progress import State

FOLDER = click.Path(file_okay=False, path_type=Path)
DAY = click.option(
    *("--day", "-d", "folder"),
    type=FOLDER,
    default=Path(),
    envvar="HARNESS_GAMEDAY",
    help="Folder of the game day; else HARNESS_GAMEDAY, else the current one.",
)
WHO = click.option("--as", "name", metavar="NAME", default=options.user, help="Your name; else this system's user.")


@click.group("gameday", cls=Whole)
def command() -> None:
    """Plan, approve, run and close a game day: plain files in one folder, to be committed.

    Names are recorded and not checked: this is no identity system.
    """


@command.command("new")
@click.argument("folder", type=FOLDER)
@click.argument("experiments", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def new(folder: Path, experiments: tuple[Path, ...]) -> None:
    """Make a FOLDER with a plan to be filled in, for EXPERIMENTS in the order in which they are to be run."""
    from harness.gameday import begin

    click.echo(f"{begin.new(folder, experiments)}: fill it in; `harness gameday check` says what is missing")


@command.command("check")
@click.option("--offline", is_flag=True, help="Ask no cluster: only the plan and its experiments.")
@DAY
@options.cluster
def check(folder: Path, offline: bool, context: str | None, kubeconfig: Path | None) -> None:
    """Check the plan and every experiment, and show all that would be touched; touch nothing."""
    from harness.cli import errors
    from harness.engine import run
    from harness.errors import Exit, HarnessError
    from harness.gameday import plan, text
    from harness.model.verdict import worst

    found = plan.read(folder)
    click.echo(text.head(found))
    codes, chosen = [int(Exit.PASS)], _options(found, context, kubeconfig)
    for step in () if offline else found.steps:
        try:
            click.echo(f"{step.number} {run.dry_run(step.experiment, chosen)}")
        except HarnessError as error:
            errors.show(error)
            codes.append(int(error.exit))
    sys.exit(worst(codes))


@command.command("approve")
@click.option("--as", "name", metavar="NAME", required=True, help="An approver of the plan.")
@DAY
def approve(folder: Path, name: str) -> None:
    """Approve the plan as it is now, with the experiments as they are now: any edit voids it."""
    from harness.gameday import approving, plan, text

    found = plan.read(folder)
    approving.approve(found, name)
    click.echo(f"{text.head(found)}\nplan {found.hash[: approving.SHORT]} is approved by {name}")


@command.command("announce")
@DAY
def announce(folder: Path) -> None:
    """Print a text for a channel, and write gameday.ics for the calendar; neither says what will be broken."""
    from harness.gameday import announcing, plan
    from harness.source import encoding

    found = plan.read(folder)
    encoding.write(folder / announcing.FILE, announcing.event(found, datetime.now(UTC)))
    click.echo(announcing.announcement(found))
    click.echo(f"calendar: {folder / announcing.FILE}", err=True)


@command.command("go")
@click.option("--continue", "goes", is_flag=True, help="The coordinator says go, for the one hold point it is at.")
@click.option("--skip", metavar="WHY", help="The coordinator skips the step whose hold point it is.")
@click.option("--as", "name", metavar="NAME", default="", help="The coordinator, for --continue and --skip.")
@click.option("-q", "--quiet", is_flag=True, help="Print verdicts only.")
@DAY
@options.cluster
def go(
    folder: Path, goes: bool, skip: str | None, name: str, quiet: bool, context: str | None, kubeconfig: Path | None
) -> None:
    """Look both ways and run the experiments one after another, each after the coordinator's word at its hold point.

    On a terminal the word is asked for there. Elsewhere, or with --continue, it is said by the command, for one hold
    point; the day stops at the next. Whatever ended this, it goes on where it was.
    """
    from harness.errors import UsageError
    from harness.gameday import conduct, plan

    found = plan.read(folder)
    said = ("skip", skip) if skip is not None else ("go", "") if goes else None
    if said and not plan.same(name, found.coordinator):
        why = f"that is {found.coordinator}"
        raise UsageError("the word is the coordinator's", why=why, hint="--as NAME says who gives it")
    say = None if quiet else (lambda line: click.echo(line, err=True))
    chosen = dataclasses.replace(_options(found, context, kubeconfig), say=say)
    sys.exit(conduct.go(folder, chosen, _said(said) if said or not sys.stdin.isatty() else _asked(), click.echo))


def _said(said: tuple[str, str] | None) -> Ask:
    """Give the word that the command line says, or look once; then nobody is there."""
    words = [said or ("look", "")]

    def ask(found: GameDay, state: State) -> tuple[str, str]:
        if words:
            return words.pop()
        how = f"harness gameday go --continue --as {shlex.quote(found.coordinator)}"
        click.echo(f"stopped at hold point {state.step.number}; the coordinator's word: {how}")
        return "", ""

    return ask


def _asked() -> Ask:
    """Ask on the terminal, after one look at each hold point."""
    looked: set[int] = set()

    def ask(found: GameDay, state: State) -> tuple[str, str]:
        if state.step.number not in looked:
            looked.add(state.step.number)
            return "look", ""
        words = click.Choice(["go", "skip", "stop", "look"])
        word = str(click.prompt(f"{found.coordinator}, the word", type=words, default="look"))
        return word, str(click.prompt("why", default="", show_default=False)) if word in ("skip", "stop") else ""

    return ask


@command.command("note")
@click.argument("text")
@click.option("--step", type=click.IntRange(min=1), help="The step it is about.")
@click.option("--owner", default="", help="Who does it: the note is an action.")
@click.option("--due", type=click.DateTime(["%Y-%m-%d"]), help="Until when.")
@click.option("--accept", is_flag=True, help="The risk is accepted; the text says why.")
@WHO
@DAY
def note(folder: Path, text: str, step: int | None, owner: str, due: Any, accept: bool, name: str) -> None:
    """Write TEXT into the log, and with it what is done about a deviation, or why that may stay as it is."""
    from harness.gameday import log, plan, progress

    if bool(owner.strip()) != bool(due) or (accept and (owner or not step)) or not text.strip():
        raise click.UsageError(
            "An action has --owner and --due, an accepted risk --step and --accept, and each a text."
        )
    plan.require(folder)
    about: dict[str, Any] = {"owner": owner.strip(), "due": f"{due:%Y-%m-%d}"} if owner else {}
    if step:
        names = [one.name for one in plan.read(folder).steps]
        if step > len(names):
            raise click.UsageError(f"--step: there are {len(names)} steps.")
        about |= {"step": step, "experiment": names[step - 1]}
    kind = progress.ACCEPTED if accept else progress.ACTION if owner else progress.NOTE
    log.append(folder, kind, name, text=text, **about)


@command.command("abort")
@click.option("--why", default="no reason given", help="Why; shown to the run that it stops.")
@WHO
@DAY
@options.namespace
@options.cluster
def abort(folder: Path, why: str, name: str, namespace: str, context: str | None, kubeconfig: Path | None) -> None:
    """Stop what is running, from any terminal, by the lever; anybody may, and needs nobody's leave.

    The lever stays on and holds up the next step: `harness lever off` when it may go on.
    """
    from harness.engine.options import Options
    from harness.gameday import stopping

    stopping.abort(folder, name, why, Options(kubeconfig, context), namespace, click.echo)


@command.command("status")
@DAY
def status(folder: Path) -> None:
    """Say where the day stands: approvals, each step, what has no answer yet, and what comes next."""
    from harness.gameday import conduct, log, plan, progress, text

    found, entries = plan.read(folder), log.read(folder)
    states = progress.fold(found, entries)
    click.echo(text.status(found, entries, states, driven=conduct.driven(folder)))


@command.command("close")
@click.option("--differs", metavar="WHY", default="", help="Why the cluster is not as it was found, and may stay so.")
@WHO
@DAY
@options.cluster
def close(folder: Path, differs: str, name: str, context: str | None, kubeconfig: Path | None) -> None:
    """Verify that all is undone and answered, and write results.md and results.html.

    Refused while anything is broken on purpose or differs from how it was found (exit code 6), and while a deviation
    has neither an action nor an accepted risk.
    """
    from harness.gameday import closing, plan

    for path in closing.close(folder, name, _options(plan.read(folder), context, kubeconfig), differs=differs):
        click.echo(str(path))


def _options(found: GameDay, context: str | None, kubeconfig: Path | None) -> Options:
    """Return the options of the day's runs; another cluster than the approved one is refused."""
    from harness.engine.options import Options
    from harness.errors import UsageError
    from harness.gameday import plan

    if context is not None and context != found.context:
        said = found.context or "the local cluster"
        where, hint = str(found.folder / plan.FILE), f"`context: {context}` in the plan, approved anew"
        raise UsageError(f"the game day is for {said}, not for {context}", where=where, hint=hint)
    return Options(kubeconfig=kubeconfig, context=found.context, seed=found.seed, runs=found.folder / plan.RUNS)
