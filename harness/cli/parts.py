"""`harness parts`: what the stack consists of, what each part costs, and which are there."""

from __future__ import annotations

import click


@click.command("parts")
def command() -> None:
    """List the parts of the stack: what each needs, what it costs at rest and to build, and whether it is there."""
    import anyio

    from harness.cluster import local
    from harness.cluster.kube import Kube
    from harness.errors import ApiError, HarnessError
    from harness.stack import apply, parts

    async def there() -> tuple[str, ...]:
        cluster = local.current()
        if cluster is None:
            return ()
        try:
            async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
                return apply.parts(await apply.remembered(kube))
        except (ApiError, HarnessError) as error:
            click.echo(f"nobody knows which are there: {error.what}", err=True)
            return ()

    up = anyio.run(there)
    if strange := [name for name in up if name not in parts.names()]:
        click.echo(f"there is {', '.join(strange)}, too, of another version: `harness up` takes it away", err=True)
    for part in map(parts.read, parts.names()):
        cost = part.cost
        paid = (
            f"{cost.mebibytes} MiB and {cost.millicores} mCPU at rest, {cost.build} to build once ({cost.measured})"
            if cost
            else "not measured"
        )
        click.echo(f"{part.name:10} {'there' if part.name in up else 'not there':9}  {part.summary}")
        click.echo(f"{'':22}needs {', '.join(part.needs) or 'nothing'}; {paid}")
        if part.name not in up:
            click.echo(f"{'':22}harness up --parts {part.name}")
