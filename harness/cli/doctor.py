"""`harness doctor`: can I run here?"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import anyio
import click

from harness.cli import options
from harness.errors import Exit


@click.command("doctor")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
@options.namespace
@options.cluster
def command(output: str, namespace: str, context: str | None, kubeconfig: Path | None) -> None:
    """Check this machine, the cluster, the keeper and the stack; change nothing."""
    from harness.engine.preflight import doctor

    checks = anyio.run(doctor.examine, kubeconfig, context, namespace)
    if output == "json":
        click.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=1))
    else:
        group = ""
        for check in checks:
            if check.group != group:
                group = check.group
                click.echo(group)
            sign = ("!" if check.warning else "v") if check.ok else "x"
            click.echo(f"  {sign} {check.name:<24} {check.said}")
            if check.hint and sign != "v":
                click.echo(f"    {'hint' if check.ok else 'fix'}: {check.hint}")
    sys.exit(Exit.PASS if all(check.ok for check in checks) else Exit.USAGE)
