"""`harness up`: bring up the local cluster and the reference stack."""

from __future__ import annotations

import time
from typing import Any

import click

from harness.errors import UsageError
from harness.stack import overlays
from harness.stack import parts as known


class _Parts(click.ParamType[tuple[str, ...]]):
    name = "part,part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        names = tuple(word.strip() for word in value.split(",")) if isinstance(value, str) else tuple(value)
        try:
            known.check(names)
        except UsageError as error:
            self.fail(f"{error.what}, {error.hint}", param, ctx)
        return names


PARTS = _Parts()


@click.command("up")
@click.option("--cluster-only", is_flag=True, help="Only the cluster, the keeper and the agents, no stack.")
@click.option(
    "--overlay",
    type=click.Choice(overlays.names()),
    default="kind",
    show_default=True,
    help="Which variant of the stack.",
)
@click.option(
    "--parts",
    type=PARTS,
    default=known.CORE,
    show_default=True,
    help="Which parts of the stack, and what they need; others are taken away. `harness parts` lists them.",
)
def command(cluster_only: bool, overlay: str, parts: tuple[str, ...]) -> None:
    """Bring up or repair the local cluster, keeper, agents and the reference stack; about a second when all is well."""
    import anyio

    from harness.agent import install as agents
    from harness.cluster import daemon, up
    from harness.cluster.kube import Kube
    from harness.cluster.local import LocalCluster
    from harness.keeper import container
    from harness.resources import crds
    from harness.stack import ahead, deploy

    if cluster_only and (overlay, parts) != ("kind", (known.CORE,)):
        raise click.UsageError("--cluster-only brings no stack, so neither an overlay nor parts of one.")
    began = time.monotonic()

    def progress(line: str) -> None:
        click.echo(f"{time.monotonic() - began:6.0f} s  {line}", err=True)

    async def resources(cluster: LocalCluster) -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await crds.install(kube)
            # New ones start while the stack's images are loaded and its pods start.
            await agents.ensure(kube, cluster, progress)
            if not cluster_only:
                await deploy.up(cluster, progress, overlay, parts)
            await agents.ready(kube, progress)

    refuse_during_a_run()
    up.check_platform()
    daemon.check(host := daemon.find())
    if line := ahead.said(host, known.closed([*parts, *overlays.part_names(overlay)]), stack=not cluster_only):
        progress(f"ahead: {line}")
    cluster = up.up(progress, stack=not cluster_only)
    container.ensure(cluster, progress)
    anyio.run(resources, cluster)
    click.echo(f"up after {time.monotonic() - began:.1f} s: context {cluster.context}, kubeconfig {cluster.kubeconfig}")


def refuse_during_a_run(why: str = "`up` would mend what it breaks") -> None:
    """Leave a cluster alone while a run breaks it on purpose; raises RunInProgress."""
    import anyio

    from harness.cluster import local
    from harness.errors import HarnessError, RunInProgress
    from harness.keeper import client

    cluster = local.current()
    if cluster is None:
        return
    try:
        live = anyio.run(client.status, cluster.keeper_socket).get("live")
    except HarnessError:
        return
    if live:
        raise RunInProgress(f"run {live} is going on", why=why, hint="wait, or `harness lever on`")
