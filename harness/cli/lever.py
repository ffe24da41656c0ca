"""`harness lever`: stop everything."""

from __future__ import annotations

import getpass
from pathlib import Path

import anyio
import click

from harness.cli import options


@click.command("lever")
@click.argument("state", type=click.Choice(["on", "off", "show"]), default="show")
@click.option("--reason", default="no reason given", help="Why; shown to every run it stops.")
@options.cluster
def command(state: str, reason: str, context: str | None, kubeconfig: Path | None) -> None:
    """Stop every run on this cluster and refuse new ones (on), or let them start again (off)."""
    from harness.engine import contexts, lever

    async def act() -> str:
        kube, _ = contexts.connect(kubeconfig, context)
        async with kube:
            if state == "on":
                await lever.pull(kube, who=getpass.getuser(), reason=reason)
            elif state == "off":
                await lever.release(kube)
            pulled = await lever.read(kube)
        return f"lever on: {pulled.get('who')}: {pulled.get('reason')}" if pulled else "lever off"

    click.echo(anyio.run(act))
