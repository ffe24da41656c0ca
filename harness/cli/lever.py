"""`harness lever`: stop everything."""

from __future__ import annotations

from pathlib import Path

import anyio
import click

from harness.cli import options


@click.command("lever")
@click.argument("state", type=click.Choice(["on", "off", "show"]), default="show")
@click.option("--reason", default="no reason given", help="Why; shown to every run it stops.")
@options.namespace
@options.cluster
def command(state: str, reason: str, namespace: str, context: str | None, kubeconfig: Path | None) -> None:
    """Stop every run on this cluster and refuse new ones (on), or let them start again (off); else say which."""
    from harness.engine import contexts, lever
    from harness.engine.preflight import scope

    async def act() -> str:
        kube, _ = contexts.connect(kubeconfig, context)
        async with kube:
            found = await scope.of(kube, namespace)
            if state == "on":
                await lever.pull(kube, who=options.user(), reason=reason, only="".join(found.inside))
            elif state == "off":
                await lever.release(kube, only="".join(found.inside))
            with scope.permitted(kube, found, "see the lever"):
                pulled = await lever.read(kube, found.system)
        where = f" in namespace {found.system}" if found.alone else ""
        return f"lever on{where}: {pulled.get('who')}: {pulled.get('reason')}" if pulled else f"lever off{where}"

    click.echo(anyio.run(act))
