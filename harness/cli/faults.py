"""`harness faults`: what is broken on purpose right now?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import click

from harness.cli import options


@click.command("faults")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
@options.namespace
@options.cluster
def command(output: str, namespace: str, context: str | None, kubeconfig: Path | None) -> None:
    """List the faults that are in the cluster now, with their run and phase."""
    from harness.engine import contexts
    from harness.engine.preflight import scope
    from harness.resources import resource

    async def look() -> list[dict[str, Any]]:
        kube, _ = contexts.connect(kubeconfig, context)
        async with kube:
            found = await scope.of(kube, namespace)
            if found.alone:
                click.echo(f"only namespace {found.system} is looked at", err=True)
            with scope.permitted(kube, found, "see what is broken here"):
                return await resource.list_all(kube, *found.inside)

    items = anyio.run(look)
    if output == "json":
        click.echo(json.dumps(items, indent=1))
        return
    for item in items:
        fault = resource.planned(item)
        phase = item.get("status", {}).get("phase", "Pending")
        click.echo(f"{fault.id:<28}  {fault.kind:<14}  {phase:<9}  {fault.victim.shown}")
    if not items:
        click.echo("nothing is broken on purpose")
