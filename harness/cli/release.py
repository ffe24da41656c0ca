"""`harness release`: release another version, and see what becomes of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from harness.cli import options


def _settings(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    if other := next((one for one in value if not one.partition("=")[0] or "=" not in one), None):
        raise click.BadParameter(f"{other!r} is not NAME=VALUE", ctx, param)
    return dict(one.split("=", 1) for one in value)


@click.command("release")
@click.option("--image", default="", help="The image of the release.")
@click.option(
    "--env", "settings", multiple=True, callback=_settings, metavar="NAME=VALUE", help="Environment of its container."
)
@click.option("--namespace", "-n", default="claude-ecosystem-prod", show_default=True, help="Where the Rollout is.")
@click.option("--rollout", default="claude-orchestrator-rollout", show_default=True, help="Which Rollout.")
@click.option("--within", default="10m", show_default=True, help="For how long it is followed.")
@options.cluster
def command(
    image: str,
    settings: dict[str, str],
    namespace: str,
    rollout: str,
    within: str,
    context: str | None,
    kubeconfig: Path | None,
) -> None:
    """Release another image or environment of a Rollout, and follow its canary until it is promoted or rolled back.

    Ends with 0 when it is promoted, 1 when it is rolled back, 2 when neither was seen in time: it goes on then, as it
    does after Ctrl-C. Without requests nothing is found out, and it is given up after a minute. One that was rolled
    back is still what the template asks for: `harness up` puts it back.
    """
    import anyio

    from harness.engine import contexts
    from harness.errors import Exit, UsageError
    from harness.model import units
    from harness.stack import release
    from harness.workloads import releases

    if not image and not settings:
        raise UsageError("nothing to release", hint="--image or --env NAME=VALUE says what is new")
    try:
        seconds = units.duration(within)
    except ValueError as error:
        raise UsageError(str(error), where="--within") from error
    began = time.monotonic()

    def tell(line: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {line}")

    async def run() -> Any:
        kube, _ = contexts.connect(kubeconfig, context)
        async with kube:
            replaced = await release.start(kube, namespace, rollout, image, settings)
            with anyio.move_on_after(seconds):
                return await release.follow(kube, namespace, rollout, replaced, tell)

    state = anyio.run(run)
    took = f"after {time.monotonic() - began:.1f} s"
    if state is None:
        click.echo(f"not decided {took}; it goes on", err=True)
        raise SystemExit(Exit.INCONCLUSIVE)
    if state.outcome == releases.ROLLED_BACK:
        click.echo(f"rolled back {took}: {state.message}", err=True)
        click.echo("its template still asks for the release: `harness up --parts delivery` puts it back", err=True)
        raise SystemExit(Exit.DEVIATED)
    click.echo(f"promoted {took}")
