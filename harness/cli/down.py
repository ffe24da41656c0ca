"""`harness down`: remove the local cluster, or some parts of the stack on it."""

from __future__ import annotations

import click

from harness.cli.up import PARTS, refuse_during_a_run


@click.command("down")
@click.option("--parts", type=PARTS, help="Only these parts of the stack, like delivery; the rest stays as it is.")
def command(parts: tuple[str, ...] | None) -> None:
    """Remove the local cluster and what it started, or with --parts a part of the stack; what was built stays.

    A part that goes leaves the definitions of its resources (CRDs), which it names: with them everything of their kinds
    would go, whoever made it.
    """

    def progress(line: str) -> None:
        click.echo(line, err=True)

    if parts is None:
        from harness.cluster import down

        refuse_during_a_run("its cluster would be gone")
        down.down(progress)
        return
    import anyio

    from harness.cluster import local
    from harness.errors import PreconditionFailed
    from harness.stack import deploy

    refuse_during_a_run()
    cluster = local.current()
    if cluster is None:
        raise PreconditionFailed("there is no local cluster", hint="harness up")
    anyio.run(deploy.down, cluster, progress, parts)
