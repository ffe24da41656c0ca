"""`harness undo`: make it clean again."""

from __future__ import annotations

from pathlib import Path

import anyio
import click

from harness.cli import options


@click.command("undo")
@click.argument("run", default="")
@options.namespace
@options.cluster
def command(run: str, namespace: str, context: str | None, kubeconfig: Path | None) -> None:
    """Heal everything that is still broken on purpose, or what one RUN broke; safe to run at any time."""
    from harness.engine import contexts
    from harness.engine.undoing import undo

    async def act() -> int:
        kube, cluster = contexts.connect(kubeconfig, context)
        async with kube:
            return await undo.undo(kube, cluster, click.echo, run=run, namespace=namespace)

    count = anyio.run(act)
    click.echo(f"{count} healed" if count else f"nothing {f'of {run} ' if run else ''}was broken on purpose")
