"""`harness analyse`: would this canary be promoted?"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli import options


def pairs(_: click.Context, __: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Read `NAME=VALUE`, each split at its first `=`."""
    found = {}
    for value in values:
        name, sign, text = value.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        found[name] = text
    return found


@click.command("analyse")
@click.argument("template", type=options.EXISTING)
@click.option("--prometheus", metavar="URL", help="Ask this Prometheus, whatever address the template has.")
@click.option("--run", metavar="RUN", help="Ask what this run recorded: `latest`, or the start of its name.")
@click.option(
    "--series",
    "chosen",
    callback=pairs,
    multiple=True,
    metavar="METRIC=NAME",
    help="What of the run answers a metric; again for each.",
)
@click.option(
    "--arg",
    "given",
    callback=pairs,
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument of the template; again for each.",
)
@click.option("--name", default="", help="Which object of the file, where it holds several.")
@click.option(
    "--dialect",
    type=click.Choice(["1.9", "1.10"]),
    default="1.10",
    show_default=True,
    help="Version of Argo Rollouts that judges.",
)
@click.option(
    "--at",
    metavar="TIME",
    help="Begin then and wait for nothing: 2026-11-29T10:00:00Z, or seconds since 1970; with --run a time after its "
    "start, like 12s.  [default: now; with --run its first fault]",
)
@click.option("--for", "lasting", metavar="DURATION", help="End it after that, as when the rollout is over.")
@options.runs
def command(
    template: Path,
    prometheus: str | None,
    run: str | None,
    chosen: dict[str, str],
    given: dict[str, str],
    name: str,
    dialect: str,
    at: str | None,
    lasting: str | None,
    runs: Path,
) -> None:
    """Judge a canary by TEMPLATE as its controller would, without a cluster.

    TEMPLATE is a file with an AnalysisTemplate of Argo Rollouts, a Canary of Flagger, or a canary configuration of
    Kayenta. Each measurement is a line; the last one is the end with the controller's message. Exit code 0 is
    Successful, 1 Failed, 2 Inconclusive, Error, not complete, or Successful though nothing was measured.
    """
    from harness.analysis.syntax import Dialect
    from harness.cli import answering, judging
    from harness.source import encoding, lines

    if (prometheus is None) == (run is None):
        raise click.UsageError("either --prometheus or --run says who answers")
    if chosen and run is None:
        raise click.UsageError("--series is about what a run recorded, so with --run")
    until = math.inf if lasting is None else answering.duration(lasting, "--for")
    asked = judging.Asked(prometheus, run, runs, chosen, given, Dialect(dialect), at, until)
    text = encoding.read(template, "template")
    sources = [lines.read(text, template)] if template.suffix == ".json" else lines.read_all(text, template)
    sys.exit(judging.judge(sources, name, asked, lambda said: click.echo(_line(said))))


def _line(text: str) -> str:
    """Show what a template or a server says as one line that does not steer a terminal."""
    from harness.report.inert import inert

    return str(inert(text)).replace("\n", " ")
